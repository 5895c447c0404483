"""Whether the labels of a data set are the places of its classes."""

from collections.abc import Iterator

import msgspec
from mmdet.datasets import CocoDataset as MMDetCocoDataset
from mmengine.fileio import get
from torch.utils.data import Dataset


class _Category(msgspec.Struct):
    name: str


class _Categories(msgspec.Struct):
    categories: list[_Category]


def labels_by_file(dataset: Dataset) -> Iterator[tuple[str, list[str]]]:
    """Find those of mmdet's CocoDataset, which number the classes in the order of the file.

    They name them in that of ``metainfo.classes`` all the same, so each box has the name of another class where the two
    differ.

    Args:
        dataset: Any; of those that wrap or join others these are looked at.

    Yields:
        Of each where the orders differ the annotation file, and its classes in that order.
    """
    for inner in [getattr(dataset, 'dataset', None), *getattr(dataset, 'datasets', ())]:
        if inner is not None:
            yield from labels_by_file(inner)
    # Ours and others that derive from it number in their own ways.
    if getattr(type(dataset), 'load_data_list', None) is not MMDetCocoDataset.load_data_list:
        return
    content = get(dataset.ann_file, backend_args=dataset.backend_args)
    # Nothing else is decoded: files may be large.
    names = [category.name for category in msgspec.json.decode(content, type=_Categories).categories]
    classes = dataset.metainfo['classes']
    by_file = [name for name in names if name in classes]
    # A class that the file lacks moves those behind it as well.
    if by_file != list(classes)[: len(by_file)]:
        yield dataset.ann_file, by_file
