"""The sheet shows what the network gets: its pixels in true colours, its boxes, and those it ignores."""

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.structures import InstanceData

from sparse_rcnn_ext.visualization import draw_training_images
from sparse_rcnn_ext.visualization.palette import color_of
from sparse_rcnn_ext.visualization.sheet import GAP, HEADING, LEGEND, TITLE
from sparse_rcnn_ext.visualization.training_images import draw_sample

CLASSES = ('cat', 'dog')
BLUE = (0, 0, 250)


def packed(boxes, labels, ignored=(), wrap=HorizontalBoxes) -> dict:
    """A blue image, 80 wide and 60 high, in BGR as mmdet loads it."""
    inputs = torch.zeros(3, 60, 80, dtype=torch.uint8)
    inputs[0] = 250
    sample = DetDataSample()
    for name, kept, classes in (
        ('gt_instances', boxes, labels),
        ('ignored_instances', ignored, [1] * len(ignored)),
    ):
        tensor = torch.tensor(kept, dtype=torch.float32).reshape(-1, 4)
        sample.set_field(
            InstanceData(bboxes=wrap(tensor), labels=torch.tensor(classes, dtype=torch.long)), name, dtype=InstanceData
        )
    return dict(inputs=inputs, data_samples=sample)


class Samples(list):
    metainfo = {'classes': CLASSES}


@pytest.mark.parametrize('wrap', [HorizontalBoxes, lambda tensor: tensor])
def test_pixels_and_boxes(wrap):
    sample = packed([(20, 15, 60, 45)], [1], [(65, 5, 75, 20)], wrap)
    panel = draw_sample(sample['inputs'], sample['data_samples'], CLASSES, panel_side=320)
    assert panel.image.shape == (240, 320, 3) and panel.title == '80×60, 1 box'
    np.testing.assert_array_equal(panel.image[120, 160], BLUE)  # RGB now
    for row, column in ((120, 80), (120, 239), (179, 160)):
        np.testing.assert_allclose(
            panel.image[row - 1 : row + 2, column - 1 : column + 2].max(axis=(0, 1)), color_of(1)
        )
    line = panel.image[30:70, 260]
    assert (line == 255).all(axis=1).any() and (line.max(axis=1) < 60).any(), 'white, and broken over its halo'


def test_names_are_written_only_if_given():
    sample = packed([(30, 30, 50, 50)], [1])
    plain, named = (draw_sample(*sample.values(), classes, panel_side=320).image for classes in (None, CLASSES))
    label = (slice(122 - 22, 116), slice(120, 150))
    np.testing.assert_array_equal(plain[label], np.broadcast_to(np.array(BLUE, np.uint8), (16, 30, 3)))
    assert (named[label] != plain[label]).any(axis=-1).mean() > 0.5


def test_no_box():
    sample = packed([], [])
    panel = draw_sample(sample['inputs'], sample['data_samples'], CLASSES, panel_side=80)
    assert panel.title == '80×60, no boxes'
    np.testing.assert_array_equal(panel.image, np.broadcast_to(np.array(BLUE, np.uint8), (60, 80, 3)))


def test_images_out_of_the_network_range_do_not_wrap():
    sample = packed([], [])
    panel = draw_sample(sample['inputs'].float() * 2 - 10, sample['data_samples'], CLASSES, panel_side=80)
    assert panel.image.reshape(-1, 3).tolist()[0] == [0, 0, 255]


@pytest.mark.parametrize('suffix', ['png', 'jpg', 'JPEG'])
def test_sheet(tmp_path, suffix):
    dataset = Samples([packed([(20, 15, 60, 45)], [0]), packed([], [])])
    out = tmp_path / 'new' / f'sheet.{suffix}'
    draw_training_images(dataset, [0, 1, 0], out, columns=2, panel_side=160)
    sheet = cv2.imread(str(out))[..., ::-1].astype(int)
    is_jpeg = out.read_bytes().startswith(b'\xff\xd8')
    assert is_jpeg == (suffix != 'png')
    for top in (HEADING + TITLE, HEADING + 2 * TITLE + 120 + GAP):
        np.testing.assert_allclose(sheet[top + 60, GAP + 80], BLUE, atol=8)
    empty = sheet[HEADING + TITLE : HEADING + TITLE + 120, GAP + 160 + 2 * GAP :][:, :160]
    np.testing.assert_allclose(empty[10:-10, 10:-10], np.broadcast_to(BLUE, (100, 140, 3)), atol=8)


def test_legend_or_names(tmp_path):
    """Up to seven classes have a legend below the panels; more have names at the boxes."""
    shapes, label = [], (slice(HEADING + TITLE, HEADING + TITLE + 28), slice(GAP + 44, GAP + 60))
    for names in (CLASSES, [f'class {number}' for number in range(8)]):
        dataset = Samples([packed([(20, 15, 60, 45)], [1])])
        dataset.metainfo = {'classes': names}
        draw_training_images(dataset, [0], tmp_path / 'sheet.png', columns=1, panel_side=160)
        sheet = cv2.imread(str(tmp_path / 'sheet.png'))[..., ::-1]
        shapes.append(sheet.shape)
        named = (sheet[label] != BLUE).any(axis=-1).mean() > 0.5
        assert named == (len(names) > 7)
    assert shapes[0][0] == shapes[1][0] + LEGEND and shapes[0][1] == shapes[1][1]
