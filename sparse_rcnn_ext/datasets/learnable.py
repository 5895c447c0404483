"""What is cheap to know of the data of a training and would make all of it useless, their labels' order included."""

from collections.abc import Iterator

import msgspec
from mmdet.datasets import CocoDataset as MMDetCocoDataset
from mmengine.fileio import get
from torch.utils.data import Dataset

from sparse_rcnn_ext.datasets.joined import listed
from sparse_rcnn_ext.errors import UserError


def check_boxes(dataset: Dataset, setting: str) -> None:
    """See that there is something to learn; it takes as long as the first box is far, and opens no image.

    Args:
        dataset: Any; of those that wrap or join others these are looked at, and what none can tell is left alone.
        setting: Where it stands in the config, for the sentence.

    Raises:
        UserError: If no image has a box of the classes.
    """
    parts = list(_innermost(dataset))
    if any(not hasattr(part, 'get_data_info') or _has_box(part) for part in parts):
        return
    images = sum(len(part) for part in parts)
    names = ', '.join(dict.fromkeys(str(getattr(part, 'ann_file', '')) for part in parts)).strip(', ')
    classes = getattr(dataset, 'metainfo', {}).get('classes') or ()
    raise UserError(
        f'none of the {images} images of {setting} has a box of the classes ({listed(classes)}): '
        f'set its metainfo.classes to names of {names or "its annotations"} that have boxes which are no crowds'
    )


def shared_files(learned: Dataset, tested: Dataset) -> list[str]:
    """Annotation files of which both data sets take the same images."""
    sources = {_source(part) for part in _innermost(learned)}
    both = dict.fromkeys(source for part in _innermost(tested) if (source := _source(part)) in sources)
    return [source[0] for source in both if source[0]]


def _innermost(dataset: Dataset) -> Iterator[Dataset]:
    inner = [one for one in (getattr(dataset, 'dataset', None), *getattr(dataset, 'datasets', ())) if one is not None]
    if not inner:
        yield dataset
    for one in inner:
        yield from _innermost(one)


def _has_box(dataset: Dataset) -> bool:
    for index in range(len(dataset)):
        boxes = dataset.get_data_info(index).get('instances')
        if boxes is None or any(not box.get('ignore_flag') for box in boxes):
            return True
    return False


def _source(dataset: Dataset) -> tuple[str, str]:
    """What decides which images there are; '' for the file where nothing is known."""
    parts = getattr(dataset, 'held_out', None), getattr(dataset, '_indices', None)
    return str(getattr(dataset, 'ann_file', '') or ''), repr(parts)


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
