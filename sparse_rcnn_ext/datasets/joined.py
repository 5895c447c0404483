"""Data sets that are joined to one, or wrapped otherwise."""

from collections.abc import Sequence

from torch.utils.data import Dataset

from sparse_rcnn_ext.errors import UserError


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
        elif isinstance(getattr(dataset, 'dataset', None), Dataset):
            place = index  # one that mixes images has as many as its own data set
        else:
            return dataset, index
        if isinstance(place, tuple):  # of several data sets: which one, and where in it
            dataset, index = dataset.datasets[place[0]], place[1]
        else:
            dataset, index = dataset.dataset, place


def innermost(dataset: Dataset) -> list[Dataset]:
    """The data sets that read files, behind whatever joins or wraps them."""
    parts = [*(getattr(dataset, 'datasets', None) or ()), getattr(dataset, 'dataset', None)]
    return [one for part in parts if isinstance(part, Dataset) for one in innermost(part)] or [dataset]


def image_ids(dataset: Dataset, indices: Sequence[int]) -> list[int | str]:
    """A key for each of some images: its ``img_id``, or its index where data sets are wrapped, whose ids may meet."""
    parts = [find_image(dataset, index) for index in indices]
    return [
        part.get_data_info(place)['img_id'] if part is dataset else index
        for index, (part, place) in zip(indices, parts, strict=True)
    ]


def refuse_shared_ids(dataset: Dataset, setting: str) -> None:
    """See that the images of a data set can be told apart by their ids, as a metric does that judges all of them.

    Args:
        dataset: Any; only those that join or wrap others are looked at.
        setting: Where it stands in the config, for the sentence.

    Raises:
        UserError: If two images have the same id, because they are in two files, or one is repeated.
    """
    if not len(dataset) or find_image(dataset, 0)[0] is dataset:
        return
    places: dict[int | str, tuple[Dataset, int]] = {}
    for index in range(len(dataset)):
        place = find_image(dataset, index)
        number = place[0].get_data_info(place[1]).get('img_id')
        if number in places:
            problem = f'joins data sets that both have an image {number!r}'
            fix = "take mmdet's MultiDatasetsEvaluator, with a metric for each"
            if places[number] == place:
                problem = f'has the image {number!r} more than once'
                fix = 'leave out what repeats it (RepeatDataset, ClassBalancedDataset)'
            raise UserError(f'{setting} {problem}, and a metric goes by the ids: {fix}')
        places[number] = place


def listed(names: Sequence[str]) -> str:
    """The first twenty names, and how many more there are."""
    shown = ', '.join(names[:20]) or 'none'
    return shown if len(names) <= 20 else f'{shown} and {len(names) - 20} more'
