"""The charts: what is on them, and that they fit on light and dark pages."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import cv2
import numpy as np
import pytest

from sparse_rcnn_ext.report.accuracy_charts import draw_classes, draw_confusion, draw_precision_recall, draw_stages
from sparse_rcnn_ext.report.box_charts import draw_proposals, draw_sizes_and_counts
from sparse_rcnn_ext.report.chart import Chart, new_chart
from sparse_rcnn_ext.report.error_split import draw_errors, split_errors
from sparse_rcnn_ext.report.outcomes import judge, judge_images
from sparse_rcnn_ext.report.run_files import RunLog, read_run_log
from sparse_rcnn_ext.report.training_charts import draw_accuracy, draw_learning_rate, draw_losses
from sparse_rcnn_ext.visualization.palette import PALETTE
from tests.report.boxes import CLASSES, make_found, make_truth
from tests.report.conftest import training_line

BLUE, ORANGE = PALETTE[6], PALETTE[5]
HERE, THERE = (0, 0, 20, 20), (50, 0, 50, 50)


def texts(chart: Chart) -> list[str]:
    """All words of the part of the page, which has to be well-formed."""
    root = ElementTree.fromstring(chart.svg)
    return [''.join(node.itertext()).strip() for node in root.iter('{http://www.w3.org/2000/svg}text')]


def picture(folder: Path, name: str) -> np.ndarray:
    return cv2.imread(str(folder / f'{name}.png'))[..., ::-1].astype(int)


def rows_of(image: np.ndarray, color: tuple[int, int, int]) -> list[int]:
    """The length in pixels of each bar of a colour, from the top."""
    lines = (np.abs(image - color) <= 2).all(-1).sum(1)
    starts = np.flatnonzero((lines[1:] > 3) & (lines[:-1] <= 3)) + 1
    return [int(np.median(lines[start : start + 5])) for start in starts]


@pytest.fixture
def judged():
    truth = make_truth([(0, *HERE), (1, *THERE)], [(1, *HERE)], [])
    found = make_found([(0, 0.9, *HERE), (1, 0.8, *THERE), (0, 0.6, *THERE)], [(1, 0.3, *HERE)], [])
    judgement = judge(truth, found, CLASSES)
    return judgement, judge_images(judgement, 0.5)


def test_follows_the_page_and_is_white_as_a_file(tmp_path: Path):
    charts: list[Chart] = []
    with new_chart(tmp_path, 'one', 'A <chart> of "this" & that', (4, 2), charts) as figure:
        figure.subplots().plot([0, 1], [0, 1])
        figure.axes[0].set_title('$5 < $6 & 鳥')
    (chart,) = charts
    root = ElementTree.fromstring(chart.svg)
    assert root.get('aria-label') == 'A <chart> of "this" & that'
    assert root.get('viewBox') == '0 0 288 144' and root.get('style') == 'width: 384px'
    assert '$5 < $6 & 鳥' in texts(chart)
    assert 'var(--ink)' in chart.svg and '#1f2329' not in chart.svg
    assert not re.search(r'fill: ?(#ffffff|white)', chart.svg)
    assert not re.search(r'(href|src)="(?!#)', chart.svg)
    image = picture(tmp_path, 'one')
    assert image.shape == (200, 400, 3) and (image[0, 0] == 255).all()


def test_losses_by_stage_and_kind(run, tmp_path: Path):
    (chart,) = draw_losses(read_run_log(run), tmp_path)
    words = texts(chart)
    assert {'All losses', 'loss_cls', 'loss_bbox', 'loss_iou'} <= set(words)
    assert words.count('stage 1') == words.count('stage 2') == 3
    assert picture(tmp_path, 'loss').shape == (320, 1360, 3)


def test_losses_of_noised_boxes(tmp_path: Path):
    lines = [{'step': step, 'loss': 1.0, 's0.loss_cls': 0.5, 'dn_s0.loss_cls': 0.4, 'lr': 0.1} for step in (1, 2)]
    assert {'loss_cls', 'stage 1', 'noised, stage 1'} <= set(texts(draw_losses(RunLog(lines, []), tmp_path)[0]))


def test_other_losses_are_named_as_they_are(tmp_path: Path):
    log = RunLog([dict(step=step, loss=1.0, loss_rpn=0.5, lr=0.1) for step in (1, 2)], [])
    assert {'All losses', 'loss_rpn'} <= set(texts(draw_losses(log, tmp_path)[0]))
    assert 'Learning rate' in texts(draw_learning_rate(log, tmp_path)[0])


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_diverged_training(tmp_path: Path, value: float):
    lines = [training_line(step, 1) for step in range(1, 10)]
    lines += [{name: value if 'loss' in name or name == 'grad_norm' else number for name, number in lines[-1].items()}]
    log = RunLog(lines, [])
    assert len(draw_losses(log, tmp_path) + draw_learning_rate(log, tmp_path)) == 2
    every = RunLog(lines[-1:], [])
    assert len(draw_losses(every, tmp_path) + draw_learning_rate(every, tmp_path)) == 2


def test_accuracy_by_epoch(run, tmp_path: Path):
    (chart,) = draw_accuracy(read_run_log(run), tmp_path)
    assert {'AP', 'AP50', 'AP75', 'small', 'medium', 'large', 'epoch'} <= set(texts(chart))


def test_accuracy_of_another_metric(tmp_path: Path):
    lines = [dict(step=epoch, at_step=epoch) | {'pascal_voc/mAP': 0.5, 'pascal_voc/recall': 1.0} for epoch in (1, 2)]
    (chart,) = draw_accuracy(RunLog([training_line(1, 1)], lines), tmp_path)
    assert 'Accuracy' in texts(chart) and 'recall' not in texts(chart)
    assert draw_accuracy(RunLog([training_line(1, 1)], []), tmp_path) == []


def test_bars_are_as_long_as_the_ap_of_their_class(judged, tmp_path: Path):
    judgement, _ = judged
    (chart,) = draw_classes(judgement, tmp_path)
    words = texts(chart)
    first, second = judgement.ap_by_class()[:2]
    # The owl has no object, and so no AP.
    assert [word for word in words if '(' in word][:2] == ['cat (1)', 'dog (2)'] and 'owl (0)' not in words
    assert f'{first:.3f}' in words and f'{second:.3f}' in words
    lengths = rows_of(picture(tmp_path, 'ap_by_class'), BLUE)[:2]
    assert lengths[1] / lengths[0] == pytest.approx(second / first, rel=0.15)


def test_precision_and_recall(judged, tmp_path: Path):
    (chart,) = draw_precision_recall(judged[0], tmp_path)
    words = texts(chart)
    assert {'IoU 0.5', 'IoU 0.9', 'cat', 'dog'} <= set(words) and 'owl' not in words


def test_confusion_has_its_counts(tmp_path: Path):
    matrix = np.array([[70, 3, 27], [0, 50, 0], [4, 0, 0]])
    (chart,) = draw_confusion(matrix, ('cat', 'dog'), 0.3, tmp_path)
    words = texts(chart)
    assert [word for word in words if word.isdigit()] == ['70', '3', '27', '50', '4']
    assert {'missed', 'no object', 'cat', 'dog'} <= set(words)


def test_confusion_of_many_classes_shows_the_most_mixed_up(tmp_path: Path):
    matrix = np.diag([10] * 60 + [0])
    matrix[50, 51] = 7
    (chart,) = draw_confusion(matrix, [f'class{label}' for label in range(60)], 0.3, tmp_path)
    words = texts(chart)
    assert {'class50', 'class51'} <= set(words) and sum(word.startswith('class') for word in words) == 2 * 40
    assert any('the 40 most mixed-up classes' in word for word in words)


def test_stages(judged, tmp_path: Path):
    (chart,) = draw_stages([judged[0]] * 3, tmp_path)
    assert {'1', '2', '3', 'stage', 'AP50', 'small'} <= set(texts(chart))


def test_sizes_and_counts(judged, tmp_path: Path):
    (chart,) = draw_sizes_and_counts(judged[1], 0.5, tmp_path)
    words = texts(chart)
    assert {'found', 'missed', 'right', 'wrong', 'objects (mean 1.0)', 'detections (mean 1.0)'} <= set(words)
    image = picture(tmp_path, 'sizes_and_counts')
    assert all((np.abs(image - color) <= 2).all(-1).sum() > 500 for color in (BLUE, ORANGE))


def test_sizes_of_nothing(tmp_path: Path):
    outcomes = judge_images(judge(make_truth([]), make_found([]), CLASSES), 0.5)
    assert len(draw_sizes_and_counts(outcomes, 0.5, tmp_path)) == 1


def test_proposals(tmp_path: Path):
    boxes = np.array([[0.5, 0.5, 1, 1], [0.2, 0.3, 0.1, -0.1]])
    (chart,) = draw_proposals(boxes, np.array([1, 4]), 8, 0.3, tmp_path)
    assert 'The 2 learned boxes' in texts(chart) and '50%' in texts(chart)


def test_errors(tmp_path: Path):
    judgement = judge(make_truth([(0, *HERE)]), make_found([(0, 0.9, *THERE), (0, 0.8, *HERE)]), CLASSES)
    chart = draw_errors(split_errors(judgement.truth, judgement.found, 0.3), tmp_path)
    assert {'class', 'location', 'both', 'duplicate', 'background', 'missed', '0.500', '1'} <= set(texts(chart))
