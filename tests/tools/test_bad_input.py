"""Bad images and annotation files: training and test end in one sentence, or skip and count."""

import json
import re
from pathlib import Path

import pytest


@pytest.fixture
def options(shared_dir, tmp_path) -> list[str]:
    """Options for a data set in which two of the four images of the training and one of the three of the test are bad;
    the first and the second half of them belong to train.py and test.py."""
    data = shared_dir / 'data/coco_mini'
    root = tmp_path / 'coco'
    for folder in ('annotations', 'train2017', 'val2017'):
        (root / folder).mkdir(parents=True)
        for file in (data / folder).iterdir():
            (root / folder / file.name).symlink_to(file)
    for split, contents in dict(train=(b'', b'<html>'), val=(b'',)).items():
        listed = json.loads((data / f'annotations/instances_{split}2017.json').read_text())
        empty = {image['id'] for image in listed['images']} - {box['image_id'] for box in listed['annotations']}
        names = [image['file_name'] for image in listed['images'] if split == 'val' or image['id'] not in empty]
        for name, content in zip(names, contents):
            (root / f'{split}2017' / name).unlink()
            (root / f'{split}2017' / name).write_bytes(content)
    return [f'{split}_dataloader.dataset.data_root={root}/' for split in ('train', 'val', 'test')]


def sentence(run_here, *arguments: object) -> str:
    with pytest.raises(SystemExit) as stop:
        run_here(*arguments)
    text = str(stop.value)
    assert '\n' not in text and text.startswith('error: ')
    return text


def test_training_stops(run_here, tiny_config, options, tmp_path):
    workers = ('train_dataloader.num_workers=1', 'train_dataloader.persistent_workers=True')
    text = sentence(run_here, 'train.py', tiny_config, '--work-dir', tmp_path, '--cfg-options', *options, *workers)
    assert re.search(r'/train2017/\d+\.jpg is (of 0 bytes|no image); 2 of the 4 images in .*train2017\.json', text)


def test_training_skips_and_counts(run_here, tiny_config, options, tmp_path):
    skip = ('train_dataloader.dataset.on_bad_image=skip', 'val_dataloader=None', 'val_evaluator=None', 'val_cfg=None')
    run_here('train.py', tiny_config, '--work-dir', tmp_path, '--cfg-options', *options, *skip)
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'skipped, as on_bad_image says; 2 of the 4 images of instances_train2017.json so far' in log
    assert (tmp_path / 'epoch_1.pth').is_file()


def test_a_test_stops(run_here, random_detector, options, tmp_path):
    text = sentence(run_here, 'test.py', *random_detector, '--work-dir', tmp_path, '--cfg-options', *options)
    assert re.search(r'/val2017/\d+\.jpg is of 0 bytes; 1 of the 3 images in .*val2017\.json cannot be used', text)


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        ('', 'is empty, cut off or no JSON'),
        ('{"categories": [], "images": [{"id": 1}], "annotations": []}', 'has no file_name and no width and no height'),
        ('{"categories": [{"id": 1, "name": "owl"}], "images": [], "annotations": []}', "lacks 80 of the config's 80"),
    ],
)
@pytest.mark.parametrize('owner', ['test_dataloader.dataset', 'test_evaluator'])
def test_bad_annotations(run_here, random_detector, tmp_path, owner, content, reason):
    path: Path = tmp_path / 'truth.json'
    path.write_text(content)
    text = sentence(
        run_here, 'test.py', *random_detector, '--work-dir', tmp_path, '--cfg-options', f'{owner}.ann_file={path}'
    )
    assert str(path) in text and reason in text
