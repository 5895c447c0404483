"""Data sets that are joined to one."""

import pytest
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

from sparse_rcnn_ext.datasets.joined import find_image, image_ids, innermost, listed, refuse_shared_ids, settle_classes
from sparse_rcnn_ext.errors import UserError


class OneImage(BaseDataset):
    """The smallest data set."""

    def load_data_list(self) -> list:
        return [dict(img_id=0)]


def join(*metainfos: dict, **wrapper: object) -> object:
    """mmdet's ConcatDataset, or what is around it."""
    parts = [dict(type=OneImage, metainfo=metainfo) for metainfo in metainfos]
    joined = dict(type='mmdet.ConcatDataset', datasets=parts)
    return DATASETS.build(dict(wrapper, dataset=joined) if wrapper else joined)


@pytest.mark.parametrize('wrapper', [{}, dict(type='mmengine.RepeatDataset', times=2)])
def test_another_palette_makes_no_difference(wrapper):
    first, second = (dict(classes=('cat', 'dog'), palette=[(red, 0, 0)] * 2) for red in (1, 2))
    dataset = join(first, second, **wrapper)
    assert isinstance(dataset.metainfo, list)
    assert settle_classes(dataset, 'train_dataloader.dataset') is dataset
    assert dataset.metainfo == first | dict(cumulative_sizes=[1, 2])


@pytest.mark.parametrize(('classes', 'words'), [(('dog', 'cat'), 'dog, cat'), (('cat',), 'cat'), ((), 'none')])
def test_other_classes_are_refused(classes, words):
    dataset = join(dict(classes=('cat', 'dog')), dict(classes=classes))
    with pytest.raises(UserError) as error:
        settle_classes(dataset, 'train_dataloader.dataset')
    assert str(error.value) == (
        f'train_dataloader.dataset joins a data set with the classes cat, dog and one with {words}: '
        'set metainfo.classes of all its parts to the same names in the same order'
    )


def test_data_sets_that_are_none_or_agree_stay_as_they_are():
    dataset = join(dict(classes=('cat',)), dict(classes=('cat',)))
    before = dataset.metainfo
    assert settle_classes(dataset, 'x').metainfo == before
    assert settle_classes([1], 'x') == [1]


def test_a_long_list_is_cut():
    assert listed([str(number) for number in range(22)]).endswith('18, 19 and 2 more')


def test_images_behind_wrappers():
    dataset = join({}, {})
    first, second = dataset.datasets
    assert find_image(first, 0) == (first, 0) and image_ids(first, [0]) == [0]
    assert innermost(first) == [first] and innermost(dataset) == [first, second]
    assert len(innermost(join({}, {}, type='mmengine.RepeatDataset', times=2))) == 2
    assert find_image(dataset, 1) == (second, 0)
    repeated = join({}, {}, type='mmengine.RepeatDataset', times=2)
    parts = [find_image(repeated, index) for index in range(4)]
    assert parts == 2 * [(part, 0) for part in repeated.dataset.datasets]
    mixed = join({}, {}, type='mmdet.MultiImageMixDataset', pipeline=[])
    assert find_image(mixed, 1) == (mixed.dataset.datasets[1], 0)
    # All have the id 0.
    assert image_ids(repeated, range(4)) == [0, 1, 2, 3] and image_ids(mixed, [1]) == [1]


def test_images_of_the_same_id():
    """Of two files, and of one that comes again; those of one data set are left to it."""
    with pytest.raises(UserError) as error:
        refuse_shared_ids(join({}, {}), 'test_dataloader.dataset')
    assert str(error.value) == (
        'test_dataloader.dataset joins data sets that both have an image 0, and a metric goes by the ids: take '
        "mmdet's MultiDatasetsEvaluator, with a metric for each"
    )
    with pytest.raises(UserError) as error:
        refuse_shared_ids(join({}, type='mmengine.RepeatDataset', times=2), 'val_dataloader.dataset')
    assert str(error.value) == (
        'val_dataloader.dataset has the image 0 more than once, and a metric goes by the ids: leave out what repeats '
        'it (RepeatDataset, ClassBalancedDataset)'
    )
    refuse_shared_ids(join({}, type='mmengine.RepeatDataset', times=1), 'x')
    refuse_shared_ids([1, 1], 'x')
