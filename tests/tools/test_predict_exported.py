"""tools/predict.py on files of tools/deploy/export.py."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from sparse_rcnn_ext.export import Detector


@pytest.fixture(scope='module')
def exported(random_detector, run_here, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('exported') / 'tiny.torchscript'
    run_here('deploy/export.py', *random_detector, '--format', 'torchscript', '--dynamic', '--out', path)
    return path


@pytest.fixture
def photos(tmp_path, monkeypatch) -> Path:
    """Five images of three sizes, one broken and a folder to be in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'photos').mkdir()
    rng = np.random.default_rng(0)
    for number, size in enumerate([(60, 90), (90, 60), (60, 90), (61, 90), (40, 90)]):
        cv2.imwrite(str(tmp_path / f'photos/{number}.png'), rng.integers(0, 256, (*size, 3), dtype=np.uint8))
    (tmp_path / 'photos/broken.jpg').write_bytes(b'\xff\xd8')
    return tmp_path / 'photos'


def test_detections_are_those_of_the_file(exported, random_detector, run_here, photos, tmp_path, capsys):
    options = ['photos', '--batch-size', 4, '--json', 'found.json', '--score-thr', 0.3, '--out', 'shown']
    run_here('predict.py', random_detector[0], exported, *options)
    printed = capsys.readouterr()
    assert '5 images, ' in printed.out and 'broken.jpg' in printed.err and 'predict:' in printed.err
    assert sorted(path.name for path in (tmp_path / 'shown').iterdir()) == [f'{number}.png' for number in range(5)]
    listed = json.loads((tmp_path / 'found.images.json').read_text())
    ids = {image['file_name']: image['id'] for image in listed['images']}
    rows = json.loads((tmp_path / 'found.json').read_text())
    file = Detector(exported)
    total = 0
    for name, number in ids.items():
        mine = [row for row in rows if row['image_id'] == number]
        right = file(cv2.imread(str(photos / name))[..., ::-1], score_thr=0.3)
        scores = sorted((row['score'] for row in mine), reverse=True)
        np.testing.assert_allclose(scores, right.scores, atol=1e-5)
        sides = np.sort([row['bbox'][2] for row in mine])
        np.testing.assert_allclose(sides, np.sort(right.boxes[:, 2] - right.boxes[:, 0]), atol=0.01)
        total += len(mine)
    assert len(ids) == 5 and total == len(rows) > 10


def test_slices(exported, random_detector, run_here, photos, capsys):
    pytest.importorskip('sahi', reason='pip install -r requirements/demo.txt')
    run_here('predict.py', random_detector[0], exported, 'photos/0.png', '--slice', 40, '--batch-size', 4)
    assert '1 images, ' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (['--stages', '1'], '--stages is for checkpoints, and '),
        (['--tta'], '--tta is for checkpoints, and '),
        (['--device', 'cpu'], '--device is for checkpoints, and '),
        (['--cfg-options', 'model.test_cfg.max_per_img=3'], '--cfg-options is for checkpoints, and '),
    ],
)
def test_options_of_checkpoints_are_refused(exported, random_detector, run_here, photos, options, sentence):
    with pytest.raises(SystemExit) as stop:
        run_here('predict.py', random_detector[0], exported, 'photos', *options)
    assert sentence in str(stop.value) and str(stop.value).endswith('is an exported file: leave it out')


def test_files_that_cannot_be_opened_end_in_one_sentence(random_detector, run_here, photos, tmp_path):
    (tmp_path / 'broken.torchscript').write_text('no network')
    for name, sentence in (('none.onnx', 'no file none.onnx'), ('broken.torchscript', 'cannot be opened')):
        with pytest.raises(SystemExit) as stop:
            run_here('predict.py', random_detector[0], name, 'photos')
        assert sentence in str(stop.value) and '\n' not in str(stop.value)
