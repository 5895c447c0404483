"""tools/ablate.py with the real tools: trained, interrupted, resumed, and not trained again."""

import json
import re
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import cv2
import pytest
import torch

from tests.fork_server import LIMIT

# So many that the first training is stopped in the middle, even by a test that gets little CPU.
EPOCHS = 40
TABLE = dict(
    name='stages',
    title='Number of stages',
    source='https://example.org',
    rows=[
        dict(name='one', config='one.py', paper_ap=21.7),
        dict(name='broken', config='broken.py', paper_ap=None),
    ],
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory, tiny_config: Path) -> Path:
    """Two rows over the tiny recipe; the model of the second cannot be built."""
    folder = tmp_path_factory.mktemp('ablate')
    (folder / 'one.py').write_text(f'_base_ = {str(tiny_config)!r}\nmodel = dict(roi_head=dict(num_stages=1))\n')
    heads = 'model = dict(roi_head=dict(bbox_head=dict(num_heads=5)))\n'
    (folder / 'broken.py').write_text(f'_base_ = {str(tiny_config)!r}\n{heads}')
    (folder / 'tables.json').write_text(json.dumps([TABLE]))
    return folder


OPTIONS = ['stages', '--tables', 'tables.json', '--out', 'out', '--epochs', str(EPOCHS)]


def epochs_saved(folder: Path) -> int:
    """How many epochs the only training has behind it."""
    records = list(folder.glob('out/runs/*/seed-0/last_checkpoint'))
    if not records:
        return 0
    # Where it was stopped, its last checkpoint is not one of an epoch.
    checkpoint = records[0].with_name(records[0].read_text())
    return torch.load(checkpoint, weights_only=True)['meta']['epoch']


@pytest.mark.slow
def test_interrupted_then_finished_then_known(folder: Path, repo_dir, python, tool_environment, run_tool):
    command = [python, str(repo_dir / 'tools/ablate.py'), *OPTIONS]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    started = time.monotonic()
    first = subprocess.Popen(command, cwd=folder, env=tool_environment, **pipes)
    deadline = time.monotonic() + LIMIT
    while first.poll() is None and time.monotonic() < deadline:
        # The training keeps two checkpoints, and the one that was to be read may be gone by then.
        with suppress(FileNotFoundError):
            if epochs_saved(folder):
                break
        time.sleep(0.02)
    first.send_signal(signal.SIGTERM)
    printed = first.communicate(timeout=LIMIT)[0]
    assert first.returncode == 1
    assert 'broken: failed, and is not trained' in printed and 'embed_dim must be divisible by num_heads' in printed
    assert 'interrupted: the same command goes on where it stopped' in printed and 'Traceback' not in printed[-200:]
    (run,) = folder.glob('out/runs/one_*')
    half = epochs_saved(folder)
    assert 1 <= half < EPOCHS and not (run / 'seed-0/result.json').exists()
    # The tool that it had started ended with it.
    sizes = [(path, path.stat().st_size) for path in sorted(run.rglob('*')) if path.is_file()]
    time.sleep(0.5)
    assert [(path, path.stat().st_size) for path in sorted(run.rglob('*')) if path.is_file()] == sizes

    second = run_tool('ablate.py', *OPTIONS, cwd=folder)
    elapsed = time.monotonic() - started
    assert second.returncode == 1, 'for the broken row'
    assert 'error: 1 of 2 rows failed (broken)' in second.stdout
    log = (run / 'seed-0/train.log').read_text()
    assert log.count('$ ') == 2 and f'resumed epoch: {half}' in log
    state = torch.load(run / f'seed-0/epoch_{EPOCHS}.pth', map_location='cpu', weights_only=False)
    assert (state['meta']['epoch'], state['meta']['iter'], state['meta']['seed']) == (EPOCHS, 2 * EPOCHS, 0)

    kept = {path: path.stat().st_mtime_ns for path in run.rglob('*') if path.is_file() and path.name != '.lock'}
    third = run_tool('ablate.py', *OPTIONS, cwd=folder)
    assert 'one, seed 0: AP' in third.stdout and 'known already' in third.stdout
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert 'Epoch(' not in third.stdout

    content = json.loads((folder / 'out/stages.json').read_text())
    one, broken = content['rows']
    metrics = one['runs'][0]['metrics']
    assert one['ap'] == 100 * metrics['coco/bbox_mAP'] and {'coco/bbox_mAP_50', 'coco/bbox_mAP_s'} < set(metrics)
    assert 0 < one['step_seconds'] < one['training_seconds'] < elapsed
    saved = sum(state['state_dict'][name].numel() for name in state['state_dict'] if name.startswith('roi_head'))
    stages = [part for part in one['cost']['parts'] if part['name'] == 'stages (1)']
    assert [part['parameters'] for part in stages] == [saved]
    assert broken['ap'] is None and 'embed_dim must be divisible' in broken['failures'][0]
    text = (folder / 'out/stages.md').read_text()
    assert re.search(r'^\| one \| -?\d+\.\d \| \*21\.7\* \| \d\.\d\d M \|', text, re.MULTILINE)
    assert re.search(r'^\| broken \| failed \| – \| – \|', text, re.MULTILINE) and text in third.stdout
    assert cv2.imread(str(folder / 'out/stages.png')).shape[1] > 1000
