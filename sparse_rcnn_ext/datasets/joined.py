"""Data sets that are joined to one, or wrapped otherwise."""

from collections.abc import Sequence

from torch.utils.data import Dataset

from sparse_rcnn_ext.engine.errors import UserError


def settle_classes(dataset: Dataset, setting: str) -> Dataset:
    """Give a data set that is joined of others one metainfo, the first one's.

    Where anything in theirs differs, even a colour, mmdet's ConcatDataset has a list of them, which next to nothing can
    use.

    Args:
        dataset: Any; one whose metainfo is a dict, or which has none, stays as it is.
        setting: Where it stands in the config, for the sentence.

    Returns:
        ``dataset``, changed in place.

    Raises:
        UserError: If two of those that are joined have other classes, or these in another order.
    """
    parts = getattr(dataset, 'metainfo', None)
    if not isinstance(parts, list):
        return dataset
    first, *others = (tuple(part.get('classes') or ()) for part in parts)
    for names in others:
        if names != first:
            raise UserError(
                f'{setting} joins a data set with the classes {listed(first)} and one with {listed(names)}: '
                'set metainfo.classes of all its parts to the same names in the same order'
            )
    dataset._metainfo = parts[0]
    return dataset


def find_image(dataset: Dataset, index: int) -> tuple[Dataset, int]:
    """The data set that an image is read by, and its place there, behind whatever wraps it."""
    while True:
        if hasattr(dataset, '_get_ori_dataset_idx'):
            place = dataset._get_ori_dataset_idx(index)
        elif hasattr(dataset, 'dataset'):
            place = index  # one that mixes images has as many as its own data set
        else:
            return dataset, index
        if isinstance(place, tuple):  # of several data sets: which one, and where in it
            dataset, index = dataset.datasets[place[0]], place[1]
        else:
            dataset, index = dataset.dataset, place


def image_ids(dataset: Dataset, indices: Sequence[int]) -> list[int | str]:
    """A key for each of some images: its ``img_id``, or its index where data sets are wrapped, whose ids may meet."""
    parts = [find_image(dataset, index) for index in indices]
    return [
        part.get_data_info(place)['img_id'] if part is dataset else index
        for index, (part, place) in zip(indices, parts, strict=True)
    ]


def listed(names: Sequence[str]) -> str:
    """The first twenty names, and how many more there are."""
    shown = ', '.join(names[:20]) or 'none'
    return shown if len(names) <= 20 else f'{shown} and {len(names) - 20} more'
