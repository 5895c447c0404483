"""Images as loaders give them, for people."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.dataset import BaseDataset, ConcatDataset, RepeatDataset
from mmengine.structures import InstanceData

from sparse_rcnn_ext.datasets.image_loading import as_picture, dataset_picture, load_image
from sparse_rcnn_ext.visualization.training_images import draw_sample

RAMP = np.linspace(0, 1, 60).reshape(6, 10)


def test_levels_of_255_stay_as_they_are():
    image = (255 * RAMP).astype(np.uint8)[..., None].repeat(3, axis=2) // (1, 2, 3)
    for kind in (np.uint8, np.float32):
        np.testing.assert_array_equal(as_picture(dict(img=image.astype(kind))), image)
    noisy = image.astype(np.float32) + np.where(RAMP > 0.5, 20, -20)[..., None]
    np.testing.assert_array_equal(as_picture(dict(img=noisy)), np.clip(noisy, 0, 255))


@pytest.mark.parametrize(
    'image',
    [(65535 * RAMP).astype(np.uint16), RAMP, 4095 * RAMP - 2000, (900 * RAMP).astype(np.int32), RAMP > 0.5],
    ids=['16 bits', 'shares', 'negative', '32 bits', 'bool'],
)
def test_other_numbers_are_stretched(image):
    picture = as_picture(dict(img=image))
    assert picture.shape == (6, 10, 3) and picture.dtype == np.uint8
    assert (picture[..., 0] == picture[..., 2]).all() and (picture.min(), picture.max()) == (0, 255)
    assert (np.diff(picture[..., 0].flatten().astype(int)) >= 0).all()


def test_what_has_no_range_is_no_error():
    for image in (np.full((4, 5), 7.0), np.full((4, 5), np.nan), np.array([[np.inf, 1.0]])):
        assert as_picture(dict(img=image)).dtype == np.uint8


@pytest.mark.parametrize(('channels', 'shown'), [(1, (0, 0, 0)), (2, (0, 0, 0)), (3, (0, 1, 2)), (7, (0, 1, 2))])
def test_channels(channels, shown):
    image = np.random.default_rng(0).integers(0, 256, (5, 6, channels), dtype=np.uint8)
    np.testing.assert_array_equal(as_picture(dict(img=image)), image[..., list(shown)])


def test_a_reduced_image_gets_the_size_of_its_file():
    image = np.full((5, 6, 3), 9, np.uint8)
    assert as_picture(dict(img=image, ori_shape=(10, 12))).shape == (10, 12, 3)


def test_transforms_run_up_to_the_loader():
    ran = []
    steps = [lambda results: ran.append(1) or results, lambda results: dict(results, img=2), lambda _: ran.append(3)]
    sample = dict(img_path='a')
    assert load_image(steps, sample) == (dict(img_path='a', img=2), 2)
    assert ran == [1] and sample == dict(img_path='a')
    assert load_image(steps[:1], sample) == (sample, 1)
    assert load_image([lambda _: None], sample) == (None, 1)


class Shades(BaseDataset):
    """An image of each of some levels."""

    def __init__(self, *levels: int) -> None:
        self.levels = levels
        super().__init__(pipeline=[self.load])

    def load_data_list(self) -> list[dict]:
        return [dict(level=level) for level in self.levels]

    @staticmethod
    def load(results: dict) -> dict:
        return dict(results, img=np.full((2, 3, 3), results['level'], np.uint8) // np.uint8([1, 1, 2]))


@pytest.mark.parametrize(
    ('dataset', 'levels'),
    [
        (Shades(10, 20), (10, 20)),
        (RepeatDataset(Shades(10, 20), 2), (10, 20, 10, 20)),
        (ConcatDataset([Shades(10, 20), Shades(30)]), (10, 20, 30)),
    ],
)
def test_images_of_data_sets_and_their_wrappers(dataset, levels):
    pictures = [dataset_picture(dataset, index) for index in range(len(dataset))]
    assert [picture[0, 0].tolist() for picture in pictures] == [[v // 2, v, v] for v in levels], 'RGB'


@pytest.mark.parametrize('channels', [1, 4])
def test_training_images_of_other_channels(channels):
    sample = DetDataSample()
    sample.gt_instances = InstanceData(bboxes=torch.tensor([[2.0, 2, 20, 20]]), labels=torch.tensor([0]))
    sample.ignored_instances = sample.gt_instances[:0]
    panel = draw_sample(torch.full((channels, 40, 60), 30000.0), sample, ('a',), 120)
    assert panel.image.shape == (80, 120, 3) and panel.title == '60×40, 1 box'
