"""Files that list images and categories alone, as those of COCO's test images: test.py and predict.py."""

import json
from pathlib import Path

import pytest


@pytest.fixture(params=['no list', 'an empty list'])
def listed(shared_dir, tmp_path, monkeypatch, request) -> Path:
    """A file of two images."""
    monkeypatch.chdir(tmp_path)
    content = json.loads((shared_dir / 'data/coco_mini/annotations/instances_val2017.json').read_text())
    content['images'] = content['images'][:2]
    del content['annotations']
    if request.param == 'an empty list':
        content['annotations'] = []
    path = tmp_path / 'image_info.json'
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def options(listed) -> list[str]:
    return ['--cfg-options', f'test_dataloader.dataset.ann_file={listed}', f'test_evaluator.ann_file={listed}']


def read(name: str) -> list[tuple]:
    """Image and class of each detection."""
    return [(entry['image_id'], entry['category_id']) for entry in json.loads(Path(name).read_text())]


def test_detections_alone_are_written(random_detector, run_here, listed, options, shared_dir):
    format_only = ['test_evaluator.format_only=True', 'test_evaluator.outfile_prefix=found']
    run_here('test.py', *random_detector, '--show-dir', 'pictures', *options, *format_only)
    images = json.loads(listed.read_text())['images']
    tested = read('found.bbox.json')
    assert {image for image, _ in tested} == {image['id'] for image in images}
    assert {path.name for path in Path('pictures').iterdir()} == {image['file_name'] for image in images}

    folder = shared_dir / 'data/coco_mini/val2017'
    inputs = [folder / image['file_name'] for image in images]
    run_here('predict.py', *random_detector, *inputs, '--json', 'f.json', '--ids', listed, '--score-thr', 0)
    assert read('f.json') == tested


def test_an_evaluation_ends_in_one_sentence(random_detector, run_here, listed, options):
    with pytest.raises(SystemExit) as stop:
        run_here('test.py', *random_detector, '--out', 'found.json', *options)
    text = str(stop.value)
    assert text.startswith(f'error: {listed} has no annotations to evaluate with: set format_only=True')
    assert '--out FILE.json' in text and '\n' not in text
    with pytest.raises(SystemExit, match='error: the CocoMetric has format_only and no outfile_prefix: set it, or'):
        run_here('test.py', *random_detector, *options, 'test_evaluator.format_only=True')
    run_here('test.py', *random_detector, '--out', 'found.json', *options, 'test_evaluator.format_only=True')
    assert len(read('found.json')) > 10
