"""Images whose names differ in their folders alone: test.py and predict.py keep them apart."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmdet.visualization import DetLocalVisualizer
from mmengine.visualization import Visualizer


@pytest.fixture
def root(shared_dir, tmp_path, monkeypatch) -> Path:
    """Folders a and b/deep with an image 1.jpg each, one wide and one high, and annotations.json."""
    monkeypatch.chdir(tmp_path)
    content = json.loads((shared_dir / 'data/coco_mini/annotations/instances_val2017.json').read_text())
    images = content['images']
    wide = next(image for image in images if image['width'] > image['height'])
    high = next(image for image in images if image['width'] < image['height'])
    content['images'] = [wide, high]
    root = tmp_path / 'data'
    for image, name in ((wide, 'a/1.jpg'), (high, 'b/deep/1.jpg')):
        (root / name).parent.mkdir(parents=True)
        shutil.copy(shared_dir / 'data/coco_mini/val2017' / image['file_name'], root / name)
        image['file_name'] = name
    (root / 'annotations.json').write_text(json.dumps(content))
    return root


def test_every_picture_is_written(random_detector, run_here, root, monkeypatch):
    for name in ('visualizer', 'a later one of this process'):
        Visualizer.get_instance(name)
    families, draw_texts = [], DetLocalVisualizer.draw_texts

    def note(self, *args, **kwargs):
        families.append(kwargs['font_families'])
        return draw_texts(self, *args, **kwargs)

    monkeypatch.setattr(DetLocalVisualizer, 'draw_texts', note)
    options = [f'test_dataloader.dataset.data_root={root}/', 'test_dataloader.dataset.data_prefix.img=.']
    options += ['test_dataloader.dataset.ann_file=annotations.json']
    options += [f'test_evaluator.ann_file={root}/annotations.json']
    run_here('test.py', *random_detector, '--show-dir', 'pictures', '--cfg-options', *options)
    assert families and all(given == [['DejaVu Sans']] for given in families), 'and others for other scripts'
    pictures = {path.relative_to('pictures').as_posix(): path for path in Path('pictures').rglob('*.*')}
    assert sorted(pictures) == ['a/1.jpg', 'b/deep/1.jpg']
    for name, path in pictures.items():
        drawn, image = cv2.imread(str(path)), cv2.imread(str(root / name))
        # The truth stands beside the detections.
        assert drawn.shape[0] == image.shape[0] and drawn.shape[1] in (image.shape[1], 2 * image.shape[1])
        assert (drawn[:, : image.shape[1]].astype(int) - image).any()


@pytest.mark.parametrize('inputs', [['data'], ['data/b', 'data/a'], ['data/b/deep/1.jpg']])
def test_detections_have_the_number_of_their_image(random_detector, run_here, root, inputs):
    options = ['--json', 'found.json', '--ids', root / 'annotations.json', '--score-thr', 0]
    run_here('predict.py', *random_detector, *inputs, *options)
    content = json.loads((root / 'annotations.json').read_text())
    listed = json.loads(Path('found.images.json').read_text())['images']
    assert len(listed) == (1 if 'deep' in inputs[0] else 2)
    sizes = {image['id']: (image['width'], image['height']) for image in content['images']}
    assert all(sizes[image['id']] == (image['width'], image['height']) for image in listed)
    numbers = [entry['image_id'] for entry in json.loads(Path('found.json').read_text())]
    assert np.unique(numbers).tolist() == sorted(image['id'] for image in listed)
