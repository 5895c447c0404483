"""tools/predict.py and test-time augmentation, run as a user runs them."""

import json
import re
import shlex
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from sparse_rcnn_ext.ablation.outcome import read_metrics
from sparse_rcnn_ext.prediction import Predictor
from tests.prediction.pictures import corners_picture, write_video

SUMMARY = re.compile(r'(\d+) images, (\d+) detections with a score of at least ([\d.]+)')


@pytest.fixture(scope='module')
def detector(random_detector) -> tuple[Path, Path]:
    return random_detector


@pytest.fixture(scope='module')
def media(tmp_path_factory) -> Path:
    """A folder with a photograph of every kind, two broken files, and a video of 5 frames at 7.5 a second."""
    folder = tmp_path_factory.mktemp('media folder')
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (60, 90, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / 'plain.jpg'), noise)
    cv2.imwrite(str(folder / 'grey.png'), noise[..., 0])
    cv2.imwrite(str(folder / 'deep.tif'), noise[..., 1].astype(np.uint16) * 257)
    Image.fromarray(np.dstack([noise, noise[..., 0]]), 'RGBA').save(folder / 'alpha.png')
    exif = Image.Exif()
    exif[0x0112] = 6
    (folder / 'below').mkdir()
    corners_picture(60, 90).save(folder / 'below/turned.jpg', exif=exif)
    (folder / 'broken.jpg').write_bytes((folder / 'plain.jpg').read_bytes()[:900])
    (folder / 'empty.png').touch()
    (folder / 'notes.txt').write_text('no image')
    write_video(folder / 'clip.mp4', [np.roll(noise[:48, :64], step, axis=1) for step in range(5)], 7.5)
    return folder


@pytest.fixture
def predict_here(detector, run_here, tmp_path, monkeypatch) -> Callable[..., None]:
    """``predict_here(*arguments)`` runs the tool in this process, in ``tmp_path``."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: run_here('predict.py', *detector, *arguments)


def test_a_folder_of_everything(detector, media, run_tool, tmp_path):
    options = ['--out', 'shown', '--json', 'found.json', '--batch-size', 3]
    result = run_tool('predict.py', *detector, media, 'gone.jpg', *options, cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    images, detections, _ = SUMMARY.search(result.stdout).groups()
    assert images == '10' and '3 inputs could not be read' in result.stdout
    for name, reason in (('broken.jpg', 'cut off'), ('empty.png', 'empty'), ('gone.jpg', 'no such file')):
        assert re.search(rf'skipped .*{name}: .*{reason}', result.stdout)
    assert 'notes.txt' not in result.stdout
    assert re.search(r'predict: +\d+%.*\d+/12 \[.*<.*img/s\]', result.stdout), 'a bar with the time left'

    shown = tmp_path / 'shown'
    assert sorted(path.relative_to(shown).as_posix() for path in shown.rglob('*.*')) == [
        'alpha.png', 'below/turned.jpg', 'clip.mp4', 'deep.tif.png', 'grey.png', 'plain.jpg'
    ]  # fmt: skip
    assert cv2.imread(str(shown / 'below/turned.jpg')).shape == (90, 60, 3), 'the turn of EXIF is made'
    assert cv2.imread(str(shown / 'grey.png')).shape == (60, 90, 3)
    capture = cv2.VideoCapture(str(shown / 'clip.mp4'))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(7.5)
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 5

    found = json.loads((tmp_path / 'found.json').read_text())
    listed = json.loads((tmp_path / 'found.images.json').read_text())
    assert len(found) == int(detections) > 10 and min(entry['score'] for entry in found) >= 0.3
    assert len(listed['images']) == 10 and len(listed['categories']) == 80
    assert {entry['image_id'] for entry in found} <= {image['id'] for image in listed['images']}
    sizes = {image['file_name']: (image['width'], image['height']) for image in listed['images']}
    assert sizes['below/turned.jpg'] == (60, 90) and sizes['clip.mp4'] == (64, 48)
    assert [image['frame_id'] for image in listed['images'] if image['file_name'] == 'clip.mp4'] == [0, 1, 2, 3, 4]


def test_scores_classes_and_stages(detector, media, predict_here, tmp_path):
    def found(*options: object) -> list[dict]:
        predict_here(media / 'plain.jpg', '--json', 'found.json', *options)
        return json.loads((tmp_path / 'found.json').read_text())

    everything = found('--score-thr', 0)
    assert 30 < len(everything) <= 40, 'those outside the image are left out'
    middle = (everything[19]['score'] + everything[20]['score']) / 2
    assert everything[19]['score'] > middle and found('--score-thr', middle) == everything[:20]
    assert not (tmp_path / 'predictions').exists(), 'no pictures were asked for'
    label = everything[0]['category_id']
    name = Config.fromfile(detector[0]).test_dataloader.dataset.metainfo.classes[label - 1]
    of_class = [entry for entry in everything if entry['category_id'] == label]
    assert 0 < len(of_class) < 30 and found('--score-thr', 0, '--classes', name) == of_class
    first_stage = found('--score-thr', 0, '--stages', 1)
    assert 30 < len(first_stage) <= 40 and first_stage != everything
    assert found('--score-thr', 0, '--stages', 2) == everything, 'the model has two'


def cut(box: list[float], image: dict) -> list[float] | None:
    """A box (left, top, width, height) as far as it is in the image; None where nothing of it is."""
    left, top = (min(max(edge, 0), image[side]) for edge, side in zip(box, ('width', 'height')))
    right, bottom = (
        min(max(edge + extent, 0), image[side]) for edge, extent, side in zip(box, box[2:], ('width', 'height'))
    )
    return [left, top, right - left, bottom - top] if right > left and bottom > top else None


@pytest.mark.parametrize('extra', [[], ['--tta']])
def test_detections_are_those_of_the_test(detector, run_here, predict_here, shared_dir, tmp_path, extra):
    """Cut at the border, also with test-time augmentation; numbered as the annotation file, to be scored."""
    run_here('test.py', *detector, '--out', 'tested.json', '--work-dir', tmp_path / 'tested', *extra)
    assert {'coco/bbox_mAP', 'coco/bbox_mAP_l'} <= read_metrics(tmp_path / 'tested').keys()
    tested = json.loads((tmp_path / 'tested.json').read_text())
    annotations = shared_dir / 'data/coco_mini/annotations/instances_val2017.json'
    images = {image['id']: image for image in json.loads(annotations.read_text())['images']}
    tested = [entry for entry in tested if cut(entry['bbox'], images[entry['image_id']])]
    folder = shared_dir / 'data/coco_mini/val2017'
    inputs = [folder / images[number]['file_name'] for number in dict.fromkeys(entry['image_id'] for entry in tested)]
    assert len(inputs) == 3
    options = ['--json', 'found.json', '--ids', annotations, '--score-thr', 0, *extra]
    predict_here(*inputs, *options)
    found = json.loads((tmp_path / 'found.json').read_text())
    assert len(found) == len(tested) > 100
    for ours, theirs in zip(found, tested):
        assert (ours['image_id'], ours['category_id']) == (theirs['image_id'], theirs['category_id'])
        assert ours['bbox'] == pytest.approx(cut(theirs['bbox'], images[ours['image_id']]), abs=4e-3)
        assert ours['score'] == pytest.approx(theirs['score'], abs=2e-6)


def test_slices(predict_here, tmp_path, capsys):
    pytest.importorskip('sahi', reason='sahi is not installed: pip install -r requirements/demo.txt')
    rng = np.random.default_rng(0)
    cv2.imwrite(str(tmp_path / 'large.png'), rng.integers(0, 256, (200, 300, 3), dtype=np.uint8))
    counts = []
    for options in ([], ['--slice', 100, '--batch-size', 4]):
        predict_here('large.png', *options)
        counts.append(int(SUMMARY.search(capsys.readouterr().out)[2]))
        assert (tmp_path / 'predictions/large.png').is_file(), 'the default folder'
    assert counts[1] > 2 * counts[0]


def test_ctrl_c_finishes_the_files(media, predict_here, tmp_path, monkeypatch, capsys):
    """The way to stop a webcam."""
    frame = cv2.imread(str(media / 'plain.jpg'))
    write_video(tmp_path / 'long.mp4', [frame] * 50, 25)
    batches = []

    def press(self, images):
        batches.append(len(images))
        if len(batches) == 3:
            signal.raise_signal(signal.SIGINT)
        return predict(self, images)

    predict = Predictor.predict
    monkeypatch.setattr(Predictor, 'predict', press)
    predict_here('long.mp4', '--out', 'out', '--json', 'f.json', '--batch-size', 4)
    printed = capsys.readouterr().out
    assert batches == [4, 4, 4] and '12 images' in printed and 'stopped before the end' in printed
    assert len(json.loads((tmp_path / 'f.images.json').read_text())['images']) == 12
    assert len(json.loads((tmp_path / 'f.json').read_text())) > 12
    assert cv2.VideoCapture(str(tmp_path / 'out/long.mp4')).get(cv2.CAP_PROP_FRAME_COUNT) == 12


def test_nothing_that_can_be_read_is_a_failure(media, predict_here, capsys):
    with pytest.raises(SystemExit) as stop:
        predict_here(media / 'broken.jpg', media / 'empty.png')
    printed = capsys.readouterr().out
    assert stop.value.code == 1
    assert SUMMARY.search(printed)[1] == '0' and '2 inputs could not be read' in printed
    with pytest.raises(SystemExit, match='error: nothing to read'):
        predict_here('gone.jpg')
    assert 'skipped gone.jpg: there is no such file' in capsys.readouterr().err


def test_an_image_over_a_limit_is_a_failure(media, predict_here, tmp_path, capsys):
    """The others go on: a limit is no defect of the file, and can be raised."""
    (tmp_path / 'large.ppm').write_bytes(b'P6 40000 30000 255\n')
    with pytest.raises(SystemExit) as stop:
        predict_here('large.ppm', media / 'plain.jpg', media / 'broken.jpg')
    printed = capsys.readouterr()
    assert stop.value.code == 1
    assert SUMMARY.search(printed.out)[1] == '1' and '2 inputs could not be read' in printed.out
    assert re.search(r'skipped large\.ppm: larger than OpenCV reads: set .* OPENCV_IO_MAX_IMAGE_PIXELS', printed.err)


def test_the_python_of_the_docs(detector, media, repo_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(media / 'plain.jpg', 'a.jpg')
    blocks = re.findall(r'```python\n(.*?)```', (repo_dir / 'docs/predict.md').read_text(), re.DOTALL)
    (code,) = [block for block in blocks if 'Predictor(' in block]
    exec(code.replace('CONFIG', str(detector[0])).replace('CHECKPOINT', str(detector[1])), {})
    assert (cv2.imread('shown.jpg') != cv2.imread('a.jpg')).any()


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        ('--score-thr 30', '--score-thr is 30.0: give a number from 0 to 1'),
        ('--batch-size 0', '--batch-size is 0: give at least 1'),
        ('--slice 0', '--slice is 0: give at least 16'),
        ('--json found.txt', '--json is found.txt: give a file that ends in .json'),
        ('--ids a.json', '--ids numbers what --json writes: give both'),
        ('--classes person unicorn', "--classes has 'unicorn', and the model knows person, "),
        ('--stages 3', 'model.test_cfg.num_stages is 3, and the model has 2 stages'),
        ('--json .', '--json is .: give a file that ends in .json'),
        ('--out a.png/below', 'cannot make the folder a.png/below (Not a directory): name another one as --out'),
        ('--out .', '--out . would overwrite a.png, an input: name another folder'),
        ('--cfg-options tta_views.ratios=[] --tta', 'tta_views.ratios is []'),
    ],
)
def test_mistakes_end_in_one_sentence(predict_here, options, sentence):
    cv2.imwrite('a.png', np.zeros((32, 48, 3), np.uint8))
    with pytest.raises(SystemExit) as stop:
        predict_here('a.png', *shlex.split(options))
    assert sentence in str(stop.value) and str(stop.value).startswith('error: ')
