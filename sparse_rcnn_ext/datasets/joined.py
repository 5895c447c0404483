"""Data sets that are joined to one."""

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


def listed(names: Sequence[str]) -> str:
    """The first twenty names, and how many more there are."""
    shown = ', '.join(names[:20]) or 'none'
    return shown if len(names) <= 20 else f'{shown} and {len(names) - 20} more'
