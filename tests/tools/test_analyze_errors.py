"""tools/analysis/analyze_errors.py from weights and from a file of detections."""

import json
from functools import partial
from pathlib import Path

import cv2
import pytest

from tests.report.conftest import mmdet_scope_of_session
from tests.visualization.conftest import checkpoint, known_proposals, picture_config

__all__ = ['checkpoint', 'known_proposals', 'mmdet_scope_of_session', 'picture_config']
KINDS = ['class', 'location', 'both', 'duplicate', 'background', 'missed']


@pytest.fixture(scope='module')
def tool(run_here):
    return partial(run_here, 'analysis/analyze_errors.py')


@pytest.fixture
def config(picture_config, tmp_path: Path) -> Path:
    path = tmp_path / 'pictures.py'
    picture_config.dump(path)
    return path


def test_file_of_detections(tool, config, tmp_path: Path, capsys):
    """A cat found, the dog taken for an owl, and the owl of the third image found twice."""
    found = [
        dict(image_id=1, category_id=1, bbox=[10, 10, 30, 20], score=0.9),
        dict(image_id=1, category_id=3, bbox=[60, 20, 25, 35], score=0.8),
        dict(image_id=3, category_id=3, bbox=[5, 30, 40, 50], score=0.7),
        dict(image_id=3, category_id=3, bbox=[5, 30, 40, 48], score=0.6),
    ]
    (tmp_path / 'found.json').write_text(json.dumps(found))
    tool(config, '--detections', tmp_path / 'found.json', '--out', tmp_path / 'errors')
    facts = json.loads((tmp_path / 'errors/errors.json').read_text())
    assert {kind['name']: kind['count'] for kind in facts['kinds']} == dict(zip(KINDS, [1, 0, 0, 1, 0, 0]))
    # Cat 1, dog 0, owl 1/2: its surest detection is the dog.
    assert facts['ap50'] == pytest.approx(0.5)
    lost = {kind['name']: kind['ap50_lost'] for kind in facts['kinds']}
    assert lost['class'] == pytest.approx(0.5) and lost['duplicate'] == pytest.approx(0)
    table = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in table if line.split() and line.split()[0] in KINDS] == KINDS
    assert next(line for line in table if line.startswith('class')).split()[:3] == ['class', '0.500', '1']
    assert table[-1] == f'Wrote {tmp_path}/errors/errors.json and {tmp_path}/errors/errors.png'
    assert cv2.imread(str(tmp_path / 'errors/errors.png')).shape[1] == 860


def test_weights_and_their_file(run_tool, run_here, tool, random_detector, tmp_path: Path):
    """What test.py --out wrote gives the same as the weights."""
    tiny_config, weights = random_detector
    run_here('test.py', tiny_config, weights, '--out', tmp_path / 'found.json', '--work-dir', tmp_path / 'tested')
    result = run_tool('analysis/analyze_errors.py', tiny_config, weights, '--score-thr', 0.02, cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    tool(tiny_config, '--detections', tmp_path / 'found.json', '--score-thr', 0.02, '--out', tmp_path / 'again')
    first, second = (
        json.loads((tmp_path / folder / 'errors.json').read_text()) for folder in ('work_dirs/tiny/errors', 'again')
    )
    assert first['ap50'] == pytest.approx(second['ap50'], abs=1e-4)
    counts = [{kind['name']: kind['count'] for kind in facts['kinds']} for facts in (first, second)]
    assert counts[0] == counts[1] and sum(counts[0].values()) > 3


def test_user_errors(tool, config, checkpoint, tmp_path: Path):
    for arguments, sentence in (
        ((), 'give either a checkpoint or --detections'),
        ((checkpoint, '--detections', 'found.json'), 'give either a checkpoint or --detections'),
        (('nowhere.pth',), 'no checkpoint file nowhere.pth: the second argument must name one'),
        (('--detections', 'nowhere.json'), 'nowhere.json cannot be read as detections'),
        ((checkpoint, '--cfg-options', 'model.rpn_head.num_proposals=5'), 'does not fit the config'),
    ):
        with pytest.raises(SystemExit, match=sentence):
            tool(config, *arguments, '--out', tmp_path)
