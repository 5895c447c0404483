"""What real annotation tools wrote of sixteen photographs becomes the boxes that were drawn."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import DATASETS

from sparse_rcnn_ext.datasets import own_data
from sparse_rcnn_ext.datasets.convert import convert_voc, convert_yolo
from sparse_rcnn_ext.datasets.convert.coco_json import CocoJson
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.evaluation import CocoMetric
from sparse_rcnn_ext.evaluation.coco_metric import BACKENDS

# Label Studio puts eight digits in front, and writes other letters than these as _.
OTHER_NAME = re.compile(r'[0-9a-f]{8}-')


@pytest.fixture
def exports(shared_dir) -> Path:
    folder = shared_dir / 'cases/exports'
    if not folder.is_dir():
        pytest.skip(f'no folder {folder}')
    return folder


def lay(exports: Path, tool: str, root: Path, places: str) -> Path:
    """Copy a tool's files, and the images to ``places`` with the name of the split in it, under the tool's names."""
    shutil.copytree(exports / tool, root)
    subfolders = 'subfolders' in tool
    source = exports / ('images_sub' if subfolders else 'images')
    written = [path.stem for path in root.rglob('*')]
    for path in root.rglob('result.json'):
        written += [Path(image['file_name']).stem for image in json.loads(path.read_text())['images']]
    names = {plain(name): name for name in written if OTHER_NAME.match(name)}
    for split in ('train', 'val'):
        for path in (source / split).rglob('*.*'):
            target = root / places.format(split) / path.relative_to(source / split)
            if 'labelstudio' in tool:
                # An image without a box has no file there from which to learn its name.
                target = target.with_stem(names.get(plain(path.stem), path.stem))
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path)
    return root


def plain(name: str) -> str:
    return re.sub(r'[^0-9a-z]', '', OTHER_NAME.sub('', name).lower())


def truth(exports: Path, tool: str) -> dict[str, dict[str, list[tuple]]]:
    """By split and image: label and edges of each box."""
    crowds = tool != 'datumaro/yolo_subfolders'  # it leaves them out
    content = json.loads((exports / ('truth_sub.json' if 'subfolders' in tool else 'truth.json')).read_text())
    return {
        split: {
            plain(image['file_name'].rpartition('.')[0]): sorted(boxes_of(image['boxes'], crowds)) for image in images
        }
        for split, images in content['splits'].items()
    }


def boxes_of(boxes: list[dict], crowds: bool) -> Iterator[tuple]:
    for box in boxes:
        left, top, width, height = box['bbox']
        if not box['crowd'] or crowds:
            yield box['label'], (left, top, left + width, top + height)


def check(converted: dict[str, CocoJson], expected: dict, tolerance: float) -> None:
    """Every image, its boxes within some pixels, and nothing else."""
    assert sorted(converted) == sorted(expected)
    for split, coco in converted.items():
        found = {image['id']: [] for image in coco.images}
        names = {image['id']: image['file_name'] for image in coco.images}
        for box in coco.annotations:
            left, top, width, height = box['bbox']
            label = coco.classes[box['category_id'] - 1]
            found[box['image_id']].append((label, (left, top, left + width, top + height)))
        by_name = {}
        for number, name in names.items():
            inside = name.rpartition('.')[0].split('/')
            below = inside[-2:] if len(inside) > 1 and inside[-2].startswith('cam') else inside[-1:]
            by_name[plain('/'.join(below))] = found[number]
        assert by_name.keys() == expected[split].keys()
        for name, boxes in expected[split].items():
            rest = list(by_name[name])
            assert len(rest) == len(boxes)
            for label, edges in boxes:
                same = [box for box in rest if box[0] == label and box[1] == pytest.approx(edges, abs=tolerance)]
                assert same, (name, label, edges)
                rest.remove(same[0])


@pytest.mark.parametrize(
    ('tool', 'places', 'tolerance'),
    [
        ('labelimg/voc', 'JPEGImages', 1),  # it cuts the digits off
        ('labelimg/voc', 'Annotations', 1),
        ('labelstudio/voc', '{}/images', 2),  # of corner and size
        ('globox/voc', 'JPEGImages', 0.01),
        ('fiftyone/voc', '{}/data', 1),
        ('supervision/voc', '{}/images', 1),
        ('datumaro/voc_subfolders', 'JPEGImages', 0.01),
    ],
)
def test_voc(exports, tmp_path, tool, places, tolerance):
    converted, _ = convert_voc(lay(exports, tool, tmp_path / 'set', places), None, None)
    assert {coco.classes for coco in converted.values()} == {tuple(sorted(json_classes(exports)))}
    check(converted, truth(exports, tool), tolerance)


def json_classes(exports: Path) -> list[str]:
    return json.loads((exports / 'truth.json').read_text())['classes']


@pytest.mark.parametrize(
    ('tool', 'places', 'description', 'tolerance'),
    [
        ('labelimg/yolo', '{}', 'data.yaml', 1.01),
        ('labelstudio/yolo', '{}/images', '.', 0.01),
        ('globox/yolo', 'images/{}', 'data.yaml', 0.01),
        ('datumaro/yolo_subfolders', 'images/{}', 'data.yaml', 0.01),
        ('sahi/yolo', 'images/{}', 'data.yaml', 0.01),
        ('supervision/yolo', '{}/images', 'data.yaml', 0.01),
    ],
)
def test_yolo(exports, tmp_path, tool, places, description, tolerance):
    root = lay(exports, tool, tmp_path / 'set', places)
    converted, _ = convert_yolo(root / description, None, ids_from=int(tool == 'sahi/yolo'))
    check(converted, truth(exports, tool), tolerance)


def test_yolo_with_ids_of_coco(exports, tmp_path):
    root = lay(exports, 'sahi/yolo', tmp_path / 'set', 'images/{}')
    with pytest.raises(UserError, match=r'class numbers 1, 2, 3, 4, 5, 6, and its names are 0 person, .*--ids-from 1'):
        convert_yolo(root / 'data.yaml', None)


@pytest.mark.parametrize(
    ('tool', 'places', 'folders'),
    [
        ('labelstudio/coco_without_images', '{}/images', None),
        ('globox/coco', 'images', None),
        ('fiftyone/coco', '{}/data', {'train_': 'train', 'val_': 'val'}),
        ('datumaro/coco_subfolders', 'images/{}', None),
        ('supervision/coco', '{}', None),
    ],
)
def test_coco(exports, tmp_path, tool, places, folders):
    """Read by the folder alone; detections equal to the truth have an AP of 1, also where annotations count from 0."""
    root = lay(exports, tool, tmp_path / 'set', places)
    for folder, name in (folders or {}).items():
        # What was renamed for the collection; beside them lie files of this project.
        (root / f'{name}.json').unlink()
        shutil.copytree(root / folder, root / name, dirs_exist_ok=True)
    settings = own_data.read(str(root))
    assert sorted(settings['classes']) == sorted(json_classes(exports))
    for split, expected in truth(exports, tool).items():
        config = dict(settings[f'{split}_dataloader']['dataset'], pipeline=[], test_mode=True)
        dataset = DATASETS.build(config | dict(type='sparse_rcnn_ext.CocoDataset'))
        found = []
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
            inside = Path(info['img_path']).relative_to(root).with_suffix('').parts
            name = plain('/'.join(inside[-2:] if inside[-2].startswith('cam') else inside[-1:]))
            boxes = sorted((settings['classes'][one['bbox_label']], tuple(one['bbox'])) for one in info['instances'])
            assert [label for label, _ in boxes] == [label for label, _ in expected[name]]
            assert np.array([box for _, box in boxes]) == pytest.approx(
                np.array([box for _, box in expected.pop(name)]), abs=0.01
            )
            found.append(
                dict(
                    img_id=info['img_id'],
                    bboxes=np.array([one['bbox'] for one in info['instances']]).reshape(-1, 4),
                    labels=np.array([one['bbox_label'] for one in info['instances']], int),
                    scores=np.ones(len(info['instances'])),
                )
            )
        assert not expected
        for backend in BACKENDS:
            ann_file = str(Path(config['data_root'], config['ann_file']))
            metric = CocoMetric(ann_file, backend=backend, classwise=True, proposal_nums=(1, 10, 100))
            metric.dataset_meta = dataset.metainfo
            numbers = metric.compute_metrics([({}, dict(one)) for one in found])
            assert {value for value in numbers.values() if value >= 0} == {1.0}
