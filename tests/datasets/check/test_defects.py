"""Each defect alone: what is found, how often, and whether it fails the check, as it does or does not stop a run."""

from collections.abc import Callable

import cv2
import pytest
from mmdet.registry import DATASETS

from sparse_rcnn_ext.errors import UserError
from tests.datasets.check.small_data import WIDTH, SmallData, check, encode, levels

Break = Callable[[SmallData], object]
NAN, INF = float('nan'), float('inf')


def add_boxes(*changes: dict, split: str = 'train') -> Break:
    return lambda data: [data.add_box(split, **change) for change in changes]


def add_file(name: str, content: bytes) -> Break:
    return lambda data: (data.add_image(name), data.files.update({name: content}))


def repeat_image_id(data: SmallData) -> None:
    data.train['images'].append(data.train['images'][0] | dict(file_name='other.jpg'))
    data.files['other.jpg'] = encode('.jpg', 51)


def repeat_content(data: SmallData) -> None:
    data.add_image('copy.jpg')
    data.files['copy.jpg'] = data.files['train2.jpg']


def leak(data: SmallData) -> None:
    data.files['val1.jpg'] = data.files['train3.jpg']


WARNINGS = {
    'unknown category': (add_boxes(dict(category_id=9), dict(category_id=9)), 2),
    'NaN or infinite': (add_boxes(dict(bbox=[NAN, 2, 9, 9]), dict(bbox=[2, 2, 9, NAN]), dict(bbox=[INF, 2, 9, 9])), 3),
    'zero area': (add_boxes(dict(bbox=[5, 5, 0, 9]), dict(bbox=[5, 5, 9, -2]), dict(area=0)), 3),
    'outside its image': (add_boxes(dict(bbox=[WIDTH, 5, 9, 9]), dict(bbox=[5, -9, 9, 9])), 2),
    'under 1 px wide or high': (add_boxes(dict(bbox=[5, 5, 0.9, 9], area=8.1)), 1),
    'image not in the file': (add_boxes(dict(image_id=77), dict(image_id='train0.jpg')), 2),
    'identical boxes': (add_boxes(dict(bbox=[2, 3, 10, 10])), 1),
    'more boxes than proposals': (add_boxes(*(dict(bbox=[i, i, 9, 9]) for i in range(3))), 1),
    'image repeated': (repeat_content, 1),
    'image in train too': (leak, 1),
    'class without boxes': (lambda data: [entry.update(category_id=1) for entry in data.train['annotations']], 1),
    'other file in the evaluator': (lambda data: data.config.val_evaluator.update(ann_file='other.json'), 1),
}
NOTES = {
    'other category': (
        lambda data: (data.train['categories'].append(dict(id=7, name='cow')), data.add_box(category_id=7)),
        1,
    ),
    'crowd': (add_boxes(dict(iscrowd=1), dict(ignore=1)), 2),
    'over the border': (add_boxes(dict(bbox=[-1.5, 5, 9, 9]), dict(bbox=[-0.9, 5, 9, 9])), 1),
}
ERRORS = {
    'broken box': (
        add_boxes(
            dict(bbox=[1, 2, 3]),
            dict(bbox=None),
            dict(bbox=['1', 2, 3, 4]),
            dict(area='big'),
            dict(image_id=...),
            dict(category_id=...),
        ),
        6,
    ),
    'box id repeated': (add_boxes(dict(id=1), dict(id=1, bbox=[1, 1, 9, 9])), 2),
    'missing image': (lambda data: [data.add_image('no.jpg'), data.add_image('no/folder.jpg')], 2),
    'image of 0 bytes': (add_file('empty.jpg', b''), 1),
    'image cut off or damaged': (
        lambda data: [add_file(f'half{suffix}', encode(suffix, 9)[:-400])(data) for suffix in ('.jpg', '.png')],
        2,
    ),
    'image no image': (add_file('page.jpg', b'<html>404</html>' * 40), 1),
    'image too large': (add_file('scan.ppm', b'P6 40000 30000 255\n'), 1),
    'size differs': (lambda data: data.train['images'][1].update(width=WIDTH + 1), 1),
    'image id repeated': (repeat_image_id, 1),
    'broken image entry': (
        lambda data: data.train['images'].extend([dict(id=20), dict(id=21, file_name='a.jpg', width=0, height=9), 3]),
        3,
    ),
    'class missing': (
        lambda data: (
            data.config.train_dataloader.dataset.metainfo.update(classes=('cat', 'Dog')),
            data.config.pop('val_dataloader'),
        ),
        1,
    ),
    'classes differ': (
        lambda data: data.config.val_dataloader.dataset.metainfo.update(classes=('dog', 'cat')),
        2,
    ),
    'category repeated': (lambda data: data.train['categories'].append(dict(id=3, name='cat')), 1),
    'num_classes': (lambda data: data.config.model.roi_head.bbox_head.update(num_classes=80), 2),
    'broken category': (lambda data: data.train['categories'].append(dict(name='cow')), 1),
}


# These a run does not notice when it loads the data: it learns or measures something wrong, or stops later.
UNNOTICED = {'classes differ', 'num_classes'}


def load(data: SmallData) -> None:
    """Load every image and its boxes as a run does."""
    for split in ('train', 'val'):
        if f'{split}_dataloader' in data.config:
            dataset = DATASETS.build(dict(data.config[f'{split}_dataloader'].dataset, serialize_data=False))
            for index in range(len(dataset)):
                assert dataset.prepare_data(index)['img'].size > 0


def test_clean(tmp_path):
    data = SmallData(tmp_path / 'data')
    result = check(data)
    assert result.findings == []
    assert result.first_fix is None
    assert not result.failed
    load(data)


@pytest.mark.parametrize('key', WARNINGS)
def test_warning(tmp_path, key):
    data = SmallData(tmp_path / 'data')
    break_it, count = WARNINGS[key]
    break_it(data)
    result = check(data)
    assert levels(result) == {key: ('warning', count)}
    assert not result.failed
    assert result.first_fix.key == key
    load(data)


@pytest.mark.parametrize('key', NOTES)
def test_note(tmp_path, key):
    data = SmallData(tmp_path / 'data')
    break_it, count = NOTES[key]
    break_it(data)
    result = check(data)
    assert levels(result) == {key: ('note', count)}
    assert not result.failed
    assert result.first_fix is None
    load(data)


@pytest.mark.parametrize('key', ERRORS)
def test_error(tmp_path, key):
    data = SmallData(tmp_path / 'data')
    break_it, count = ERRORS[key]
    break_it(data)
    result = check(data)
    found = {name: level for name, level in levels(result).items() if level[0] != 'note'}
    assert found == {key: ('error', count)}
    assert result.failed
    assert result.first_fix.key == key
    if key in UNNOTICED:
        load(data)
    else:
        with pytest.raises((UserError, OSError, AssertionError, cv2.error)):
            load(data)
