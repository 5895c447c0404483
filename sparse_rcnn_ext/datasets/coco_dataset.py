"""COCO's format with labels that go by the name."""

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mmdet.datasets import CocoDataset as MMDetCocoDataset
from mmengine.logging import print_log

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.registry import DATASETS

from .bad_images import ChecksImages
from .coco_columns import CocoColumns, read_columns
from .coco_file import CocoFile, ids_of_classes, some_names
from .coco_records import CocoRecords, KeepsRecords
from .image_pool import PoolsImages
from .own_files import base_name

_COCO_PALETTE = MMDetCocoDataset.METAINFO['palette']


@DATASETS.register_module()
class CocoDataset(ChecksImages, PoolsImages, KeepsRecords, MMDetCocoDataset):
    """mmdet's CocoDataset, in which a box's label is the place of its category's name among the classes.

    In mmdet it is the place among those categories of the file that the classes name: with the classes ('bird', 'dog')
    and a file of cat and dog, a dog would be labelled 0, a bird.

    ``metainfo=dict(classes=('bird', 'dog'))`` sets the classes. Without it they are all categories of the file, in its
    order; then every split must list the same ones in the same order. Categories beside the classes are left out, and
    the log says which. Every training sample brings an image pool along (see :class:`PoolsImages`).

    Args:
        use_crowd: Learn from the boxes around crowds too. By default they are kept apart, as mmdet does
            (``ignore_flag`` 1).
        base_names: Look for every image in ``data_prefix`` itself, under the last part of its ``file_name``.
        held_out: Take one part of the images of the file, see :func:`~sparse_rcnn_ext.datasets.coco_file.part_of`.
        args, kwargs: See :class:`~sparse_rcnn_ext.datasets.bad_images.ChecksImages`, which has ``on_bad_image``, and
            mmdet's CocoDataset.

    Raises:
        UserError: If the file cannot be used, a class is not in it, or no image remains. With ``test_mode`` the file
            may lack some classes, if it has no object of other names, and all annotations.
    """

    METAINFO: dict = {}

    def __init__(
        self, *args, use_crowd: bool = False, base_names: bool = False, held_out: dict | None = None, **kwargs
    ) -> None:
        self.use_crowd = use_crowd
        self.base_names = base_names
        self.held_out = held_out
        self._file_names: list[str] = []
        super().__init__(*args, **kwargs)

    @property
    def metainfo(self) -> dict:
        """The classes, and a colour for each where COCO's 80 are enough."""
        if 'classes' not in self._metainfo:
            self.full_init()
        return super().metainfo

    @classmethod
    def _load_metainfo(cls, metainfo: Mapping | None = None) -> dict:
        given = (metainfo or {}).get('classes', ())
        # mmengine also takes a file of names.
        if isinstance(given, str) and not Path(given).is_file():
            raise UserError(f'metainfo.classes is the text {given!r}: write a tuple of names, such as ({given!r},)')
        loaded = super()._load_metainfo(metainfo)
        if loaded.get('classes') is None:
            loaded.pop('classes', None)
        else:
            loaded['classes'] = _checked(loaded['classes'])
        return loaded

    def load_data_list(self) -> Sequence[dict]:
        """One entry for each image of the file, in its order; see mmdet's."""
        columns = read_columns(self.ann_file, self.backend_args) if self._can_be_columns() else None
        if columns is None:
            return self._load_dicts()
        known = columns.category_ids
        self._choose_classes(self.ann_file, tuple(known), lambda classes: self._ids_in(columns, classes))
        self._tell_what_is_left_out(self.ann_file, {number: name for name, number in known.items()}, columns.counts)
        # They are shared as they are.
        self.serialize_data = False
        return CocoRecords(columns, self.cat2label, self.data_prefix['img'], self.use_crowd)

    def _ids_in(self, columns: CocoColumns, classes: tuple[str, ...]) -> list[int]:
        return ids_of_classes(self.ann_file, columns.category_ids, columns.counts if self.test_mode else None, classes)

    def _can_be_columns(self) -> bool:
        """Whether a data info has nothing that :class:`CocoRecords` lacks."""
        is_ours = type(self).parse_data_info is CocoDataset.parse_data_info
        others = (self.held_out, self.base_names, self.return_classes, self.proposal_file, self.data_prefix.get('seg'))
        return is_ours and not any(others)

    def _load_dicts(self) -> list[dict]:
        coco = CocoFile(self.ann_file, self.backend_args, self.held_out, may_lack_annotations=self.test_mode)
        if self.held_out:
            self._file_names = [image['file_name'] for image in coco.dataset['images']]
        names = {number: category['name'] for number, category in coco.cats.items()}
        self._choose_classes(coco.path, coco.names, lambda classes: coco.ids_of(classes, may_lack=self.test_mode))
        self.cat_img_map = coco.cat_img_map
        self._tell_what_is_left_out(coco.path, names, coco.boxes_by_category)
        return [
            self.parse_data_info(
                dict(raw_img_info={**image, 'img_id': image['id']}, raw_ann_info=coco.img_ann_map[image['id']])
            )
            for image in coco.dataset['images']
        ]

    def _choose_classes(self, path: str, names: tuple[str, ...], ids_of: Callable[[tuple[str, ...]], list]) -> None:
        classes = self._metainfo.setdefault('classes', names)
        if not classes:
            raise UserError(f'{path} has no categories: list those of its annotations')
        if len(classes) <= len(_COCO_PALETTE):
            self._metainfo.setdefault('palette', _COCO_PALETTE[: len(classes)])
        self.cat_ids = ids_of(classes)
        self.cat2label = {category: label for label, category in enumerate(self.cat_ids)}
        if lacking := [name for name in classes if name not in names]:
            print_log(f'{path} has no object of {some_names(lacking)}: their AP stays unknown', logger='current')

    def held_out_names(self) -> list[str]:
        """With ``held_out``, the file names of the part, in the order of the file."""
        self.full_init()
        return self._file_names

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """What the pipeline starts from; see mmdet's.

        Args:
            raw_data_info: ``raw_img_info``, the image's entry with its id as ``img_id``, and ``raw_ann_info``, the list
                of its annotations.
        """
        # An infinite width would pass mmdet's own checks.
        boxes = [box for box in raw_data_info['raw_ann_info'] if all(map(math.isfinite, box['bbox']))]
        if self.use_crowd:
            boxes = [{**box, 'iscrowd': 0} for box in boxes]
        image = raw_data_info['raw_img_info']
        if self.base_names:
            image = {**image, 'file_name': base_name(image['file_name'])}
        return super().parse_data_info({**raw_data_info, 'raw_img_info': image, 'raw_ann_info': boxes})

    def filter_data(self) -> Sequence[dict]:
        """Leave out images as ``filter_cfg`` says; see mmdet's."""
        records = self.data_list
        if isinstance(records, CocoRecords):
            cfg = {} if self.test_mode else self.filter_cfg or {}
            kept = records.filtered(cfg.get('filter_empty_gt', False), cfg.get('min_size', 0))
        else:
            kept = super().filter_data()
        if not len(kept):
            raise UserError(
                f'{self.ann_file} lists {len(self.data_list)} images, and filter_cfg={self.filter_cfg} leaves none: '
                'change filter_cfg, metainfo.classes or the file'
            )
        return kept

    def _tell_what_is_left_out(self, path: str, names: dict, counts: Mapping) -> None:
        others = {name: counts.get(key, 0) for key, name in names.items() if key not in self.cat2label}
        if others:
            listed = ', '.join(f'{name!r} ({count} boxes)' for name, count in others.items())
            print_log(f'{path}: left out, as they are none of the classes: {listed}', logger='current')
        unknown = [key for key in counts if key not in names]
        if unknown:
            print_log(
                f'{path}: {sum(counts[key] for key in unknown)} boxes are left out, because the file lists no '
                f'category with their category_id: {some_names(unknown)}',
                logger='current',
                level=logging.WARNING,
            )


def _checked(classes: object) -> tuple[str, ...]:
    if not isinstance(classes, (tuple, list)) or not classes or not all(isinstance(name, str) for name in classes):
        raise UserError(f"metainfo.classes is {classes!r}: write a tuple of names, such as ('person',)")
    repeated = [name for name, count in Counter(classes).items() if count > 1]
    if repeated:
        raise UserError(f'metainfo.classes names {some_names(repeated)} more than once: name each class once')
    return tuple(classes)
