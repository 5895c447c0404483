"""What the pipeline starts from, made from columns when it is asked for."""

import json
import os.path
from collections.abc import Sequence

import numpy as np

from .coco_columns import CocoColumns


class CocoRecords(Sequence):
    """The data infos of mmdet's CocoDataset for a file in columns.

    They are equal to what its ``parse_data_info`` makes, and take no time before they are asked for. The columns stay
    where they are when a process forks: data loader workers share them.

    Args:
        columns: The file.
        labels: By category id.
        image_prefix: The folder of the images.
        use_crowd: Whether crowds are objects like others.
    """

    def __init__(self, columns: CocoColumns, labels: dict[int, int], image_prefix: str, use_crowd: bool) -> None:
        self._columns = columns
        self._prefix = image_prefix
        known, inverse = np.unique(columns.box_categories, return_inverse=True)
        self._labels = np.array([labels.get(number, -1) for number in known.tolist()], dtype=np.int64)[inverse]
        self._ignored = columns.crowd & (not use_crowd)
        # xywh to xyxy as in mmdet: a sum, and no rounding of another kind.
        self._xyxy = np.concatenate([columns.xywh[:, :2], columns.xywh[:, :2] + columns.xywh[:, 2:]], axis=1)
        self._kept = self._are_usable()
        self._places = np.arange(len(columns.image_ids))

    def _are_usable(self) -> np.ndarray:
        """(M,) what mmdet's CocoDataset keeps: boxes of the classes, at least a pixel wide and high, in their image."""
        columns = self._columns
        sizes = np.repeat(columns.sizes, np.diff(columns.starts), axis=0)
        inside = np.minimum(self._xyxy[:, 2:], sizes) - np.maximum(self._xyxy[:, :2], 0)
        usable = (inside.clip(min=0).prod(axis=1) != 0) & (columns.xywh[:, 2:] >= 1).all(axis=1)
        return usable & (columns.area > 0) & (self._labels >= 0)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int | slice | Sequence[int]) -> 'dict | CocoRecords':
        """The data info of an image, or the records of several."""
        if not isinstance(index, (int, np.integer)):
            return self._of(self._places[index])
        place = self._places[index]
        columns = self._columns
        width, height = columns.sizes[place].tolist()
        rows = np.arange(columns.starts[place], columns.starts[place + 1])
        return dict(
            img_path=os.path.join(self._prefix, columns.file_names[place].decode()),  # noqa: PTH118  (may be s3://)
            img_id=columns.image_ids[place].item(),
            seg_map_path=None,
            height=height,
            width=width,
            instances=[self._instance(row) for row in rows[self._kept[rows]].tolist()],
        )

    def _instance(self, row: int) -> dict:
        instance = dict(
            ignore_flag=int(self._ignored[row]), bbox=self._xyxy[row].tolist(), bbox_label=int(self._labels[row])
        )
        if self._columns.masks is not None and (mask := self._columns.masks[row]):
            instance['mask'] = json.loads(mask)
        return instance

    def filtered(self, filter_empty_gt: bool, min_size: float) -> 'CocoRecords':
        """Those that mmdet's ``filter_cfg`` leaves: with any box of the classes, usable or not, and large enough."""
        columns = self._columns
        boxes = np.add.reduceat(np.append(self._labels >= 0, False), columns.starts[:-1]) if len(self) else np.zeros(0)
        has_box = (boxes > 0) & (np.diff(columns.starts) > 0)
        keep = columns.sizes.min(axis=1) >= min_size
        if filter_empty_gt:
            keep &= has_box
        return self._of(self._places[keep[self._places]])

    def images_of_categories(self) -> dict[int, list[int]]:
        """Ids of the images by category id, one for each box."""
        columns = self._columns
        of_box = np.repeat(columns.image_ids, np.diff(columns.starts))
        return {
            number: of_box[columns.box_categories == number].tolist()
            for number in np.unique(columns.box_categories).tolist()
        }

    def _of(self, places: np.ndarray) -> 'CocoRecords':
        records = object.__new__(CocoRecords)
        vars(records).update(vars(self), _places=places)
        return records


class KeepsRecords:
    """Mixin, before mmdet's CocoDataset: its ``data_list`` may be :class:`CocoRecords`, which need no copy."""

    @property
    def cat_img_map(self) -> dict:
        """Ids of the images by category id, one for each box, of all images of the file; as in mmdet's."""
        records = self.data_list
        return records.images_of_categories() if isinstance(records, CocoRecords) else self._cat_img_map

    @cat_img_map.setter
    def cat_img_map(self, cat_img_map: dict) -> None:
        self._cat_img_map = cat_img_map

    def get_data_info(self, idx: int) -> dict:
        """What the pipeline starts from for image ``idx``."""
        records = self.data_list
        if not isinstance(records, CocoRecords):
            return super().get_data_info(idx)
        return dict(records[idx], sample_idx=idx if idx >= 0 else len(records) + idx)

    def _get_unserialized_subset(self, indices: Sequence[int] | int) -> Sequence[dict]:
        records = self.data_list
        if not isinstance(records, CocoRecords):
            return super()._get_unserialized_subset(indices)
        if isinstance(indices, Sequence):
            return records[list(indices)]
        return records[:indices] if indices >= 0 else records[indices:]

    def _copy_without_annotation(self, memo: dict | None = None) -> 'KeepsRecords':
        # mmengine 0.10.7 has one memo for the copies of all data sets, also of those that are gone: by the number of an
        # object in memory it may take another one for a copy.
        return super()._copy_without_annotation({} if memo is None else memo)
