"""Every tool that opens a checkpoint refuses one with code in it, in a sentence, and runs none of it."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.engine.hostile import Payload, has_run
from tests.tools.test_trust_option import tools_with_checkpoints

pytestmark = pytest.mark.skipif(torch.__version__ < (2, 6), reason='torch < 2.6 cannot load safely')

FILE = 'crafted.pth'
# By tool: its arguments after its name.
COMMANDS = {
    'train.py': [['CONFIG', '--resume', FILE], ['CONFIG', '--cfg-options', f'load_from={FILE}']],
    'test.py': [['CONFIG', FILE]],
    'predict.py': [['CONFIG', FILE, 'image.png']],
    'demo.py': [['CONFIG', FILE]],
    'deploy/export.py': [['CONFIG', FILE]],
    'deploy/publish.py': [[FILE, 'out.safetensors']],
    'analysis/analyze_errors.py': [['CONFIG', FILE]],
    'analysis/export_latency.py': [['CONFIG', FILE]],
    'analysis/replay_batch.py': [['CONFIG', FILE, 'iter_1.pt']],
    'analysis/report.py': [['run', '--checkpoint', FILE]],
    'analysis/stage_dial.py': [['CONFIG', FILE]],
    'analysis/visualize_stages.py': [['CONFIG', FILE, 'image.png', '--out', 'stages']],
    'convert/mmdet_to_official.py': [[FILE, 'out.pth']],
    'convert/official_to_mmdet.py': [[FILE, 'out.pth']],
}


@pytest.fixture
def crafted(random_detector, tmp_path, monkeypatch) -> Path:
    """In the working directory, a checkpoint that fits the config but for what it holds beside the weights."""
    monkeypatch.chdir(tmp_path)
    config, checkpoint = random_detector
    torch.save({**torch.load(checkpoint, weights_only=True), 'payload': Payload()}, FILE)
    cv2.imwrite('image.png', np.zeros((40, 60, 3), np.uint8))
    Path('run').mkdir()
    Path('run/tiny.py').write_text(config.read_text())
    return config


def test_there_is_a_command_for_each_tool(repo_dir):
    found = {path.relative_to(repo_dir / 'tools').as_posix() for path in tools_with_checkpoints(repo_dir)}
    assert found == set(COMMANDS)


@pytest.mark.parametrize(
    ('tool', 'arguments'), [(tool, arguments) for tool, several in COMMANDS.items() for arguments in several]
)
def test_is_refused(crafted, run_here: Callable[..., None], tool, arguments):
    with pytest.raises(
        SystemExit, match=rf'^error: {FILE} holds pathlib\.\S+, which could run code: give a checkpoint'
    ):
        run_here(tool, *[crafted if argument == 'CONFIG' else argument for argument in arguments])
    assert not has_run()
    assert not any(Path(name).exists() for name in ('out.pth', 'out.safetensors', 'stages'))
    torch.load(FILE, weights_only=False)
    assert has_run(), 'the payload is live'
