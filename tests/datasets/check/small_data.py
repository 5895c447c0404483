"""A small data set without a fault, and the config that trains on it. Tests break one thing or another."""

import json
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config

from sparse_rcnn_ext.datasets.check import CheckResult, check_datasets

WIDTH, HEIGHT = 64, 48
CLASSES = ('cat', 'dog')
NUM_PROPOSALS = 5


class SmallData:
    """``train`` and ``val`` are the contents of the two annotation files; nothing is on disk before ``write``.

    Images are named train0.jpg … and val0.jpg …, their ids are their numbers. Every image has a small cat (10x10), a
    medium cat (40x30) and a dog (12x20).
    """

    def __init__(self, root: Path, num_train: int = 4, num_val: int = 2) -> None:
        self.root = root
        self.train = self._content('train', num_train)
        self.val = self._content('val', num_val)
        self.files = {
            image['file_name']: encode('.jpg', seed)
            for seed, image in enumerate([*self.train['images'], *self.val['images']])
        }
        self.config = Config(
            dict(
                default_scope='mmdet',
                custom_imports=dict(imports=['sparse_rcnn_ext'], allow_failed_imports=False),
                model=dict(
                    rpn_head=dict(num_proposals=NUM_PROPOSALS),
                    roi_head=dict(bbox_head=dict(num_classes=len(CLASSES))),
                ),
                train_dataloader=dict(dataset=self._dataset('train', filter_cfg=dict(filter_empty_gt=True))),
                val_dataloader=dict(dataset=self._dataset('val', test_mode=True)),
                val_evaluator=dict(type='sparse_rcnn_ext.CocoMetric', ann_file=str(root / 'val.json')),
            )
        )

    def write(self) -> None:
        """Put the annotation files and the images on disk."""
        (self.root / 'images').mkdir(parents=True)
        for split in ('train', 'val'):
            (self.root / f'{split}.json').write_text(json.dumps(getattr(self, split)))
        for name, content in self.files.items():
            (self.root / 'images' / name).write_bytes(content)

    def add_box(self, split: str = 'train', **changes: object) -> dict:
        """Add a cat to the first image of a split, changed as told; a key with the value ``...`` is left out."""
        annotations = getattr(self, split)['annotations']
        box = box_entry(1 + max(entry['id'] for entry in annotations), 0, 1, [5, 30, 10, 10])
        box.update(area=100.0)
        box.update(changes)
        annotations.append({key: value for key, value in box.items() if value is not ...})
        return annotations[-1]

    def add_image(self, name: str, split: str = 'train', seed: int | None = None, **changes: object) -> dict:
        """Add an image with one cat to a split, its entry changed as told; its file exists where ``seed`` is given."""
        images = getattr(self, split)['images']
        images.append(image_entry(1 + max(image['id'] for image in images), name) | changes)
        self.add_box(split, image_id=images[-1]['id'])
        if seed is not None:
            self.files[name] = encode(Path(name).suffix, seed)
        return images[-1]

    def _content(self, split: str, count: int) -> dict:
        images = [image_entry(number, f'{split}{number}.jpg') for number in range(count)]
        boxes = []
        for image in images:
            for category, xywh in ((1, [2, 3, 10, 10]), (1, [20, 10, 40, 30]), (2, [40, 8, 12, 20])):
                boxes.append(box_entry(len(boxes) + 1, image['id'], category, xywh))
        categories = [dict(id=number, name=name) for number, name in enumerate(CLASSES, start=1)]
        return dict(images=images, annotations=boxes, categories=categories)

    def _dataset(self, split: str, **settings: object) -> dict:
        return dict(
            type='sparse_rcnn_ext.CocoDataset',
            data_root=str(self.root),
            ann_file=f'{split}.json',
            data_prefix=dict(img='images/'),
            metainfo=dict(classes=CLASSES),
            pipeline=[dict(type='LoadImageFromFile'), dict(type='Resize', scale=(128, 128), keep_ratio=True)],
            **settings,
        )


def image_entry(image_id: int, name: str) -> dict:
    return dict(id=image_id, file_name=name, width=WIDTH, height=HEIGHT)


def box_entry(box_id: int, image_id: int, category_id: int, xywh: list) -> dict:
    return dict(
        id=box_id, image_id=image_id, category_id=category_id, bbox=xywh, area=float(xywh[2] * xywh[3]), iscrowd=0
    )


def encode(suffix: str, seed: int, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """An image file of noise; another seed gives another content."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.imencode(suffix, pixels)[1].tobytes()


def check(data: SmallData, splits: tuple[str, ...] = ('train', 'val')) -> CheckResult:
    """Write the data and check them."""
    data.write()
    return check_datasets(data.config, splits, threads=2)


def levels(result: CheckResult) -> dict[str, tuple[str, int]]:
    """Level and count of the findings by their keys."""
    found = {finding.key: (finding.level.value, finding.count) for finding in result.findings}
    assert len(found) == len(result.findings)
    return found
