"""The CrowdHuman evaluator of our config against numbers worked out by hand."""

import math

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.structures import InstanceData

from sparse_rcnn_ext.errors import UserError
from tests.datasets.convert.minis import HEIGHT, WIDTH, person, write_odgt

Boxes = list[list[float]]

# Bodies of four images in (x, y, w, h); the first one's reaches over the right and lower border.
BODIES = {
    'a,1': [[60, 20, 80, 90], [2, 5, 20, 60]],
    'b,2': [[10, 10, 30, 30], [50, 10, 30, 30], [10, 45, 30, 30]],
    'c,3': [[30, 30, 40, 40]],
    'd,4': [],
}
IGNORED = {'b,2': [[60, 50, 30, 25]], 'c,3': [[0, 0, 20, 20]], 'd,4': [[0, 0, 50, 50]]}
COUNT = 6


def corners(boxes: Boxes) -> Boxes:
    return [[x, y, x + w, y + h] for x, y, w, h in boxes]


@pytest.fixture
def evaluate(repo_dir, tmp_path):
    """``evaluate(detections, scores)`` gives the four numbers; detections are (x1, y1, x2, y2) by image."""
    records = {
        name: [person(box) for box in boxes]
        + [person(box, tag, 1) for box in IGNORED.get(name, []) for tag in ('mask', 'person')]
        for name, boxes in BODIES.items()
    }
    write_odgt(tmp_path, 'val', records)

    def run(detections: dict[str, Boxes], scores: dict[str, list[float]] | None = None, **settings) -> dict[str, float]:
        cfg = Config.fromfile(repo_dir / 'configs/_base_/datasets/crowdhuman.py').val_evaluator
        evaluator = Evaluator(
            {**cfg, 'ann_file': str(tmp_path / 'annotation_val.odgt'), 'num_ji_process': 2, **settings}
        )
        evaluator.dataset_meta = dict(classes=('person',))
        # In another order than the file's, and with the numbers that a COCO JSON has for ids.
        for number, (name, boxes) in enumerate(reversed(detections.items())):
            sample = DetDataSample(
                metainfo=dict(img_id=number, img_path=f'/data/Images/{name}.jpg', ori_shape=(HEIGHT, WIDTH))
            )
            score = torch.tensor((scores or {}).get(name, [0.9] * len(boxes)))
            box = torch.tensor(boxes, dtype=torch.float).view(-1, 4)
            sample.pred_instances = InstanceData(bboxes=box, scores=score, labels=torch.zeros(len(boxes)).long())
            evaluator.process(data_samples=[sample])
        found = evaluator.evaluate(len(detections))
        return {name.removeprefix('crowd_human/'): value for name, value in found.items()}

    return run


TRUTH = {name: corners(boxes) for name, boxes in BODIES.items()}


def test_the_truth(evaluate):
    # The area under the curve starts at the recall of the first detection, 1/6.
    assert evaluate(TRUTH) == dict(mAP=round(1 - 1 / COUNT, 4), mMR=0.0, JI=1.0, recall=1.0)


def test_boxes_cut_at_the_border_are_as_good(evaluate):
    cut = {
        name: [[x1, y1, min(x2, WIDTH), min(y2, HEIGHT)] for x1, y1, x2, y2 in boxes] for name, boxes in TRUTH.items()
    }
    assert cut['a,1'] != TRUTH['a,1']
    assert evaluate(cut) == evaluate(TRUTH)


def test_detections_of_ignored_regions_do_not_count(evaluate):
    more = {name: TRUTH[name] + corners(IGNORED.get(name, [])) for name in TRUTH}
    assert evaluate(more) == evaluate(TRUTH)


def test_misses_and_false_alarms(evaluate):
    found = {name: list(boxes) for name, boxes in TRUTH.items()}
    found['b,2'] = found['b,2'][:1]  # two of three are missed
    found['c,3'] = [*found['c,3'], [0, 60, 20, 80]]  # a false alarm with the lowest score
    result = evaluate(found, {'c,3': [0.9, 0.3]})
    # Four hits with precision 1 at recalls 1/6 to 4/6; the false alarm adds no recall.
    assert result['mAP'] == pytest.approx(3 / 6, abs=1e-4)
    assert result['recall'] == pytest.approx(4 / 6, abs=1e-4)
    # The false alarm is a quarter an image: nine anchors, all at a miss rate of 2/6.
    assert result['mMR'] == pytest.approx(math.exp(math.log(2 / 6)), abs=1e-4)
    # Best threshold above 0.3, without the false alarm: 1, 1/3 and 1 of the three images that have anything.
    assert result['JI'] == pytest.approx((1 + 1 / 3 + 1) / 3, abs=1e-4)


def test_moved_boxes_are_worth_nothing(evaluate):
    far = {name: [[x1 / 9, y1 / 9, x1 / 9 + 3, y1 / 9 + 3] for x1, y1, *_ in boxes] for name, boxes in TRUTH.items()}
    far['c,3'] = [[75, 60, 95, 78]]
    result = evaluate(far)
    assert (result['mAP'], result['mMR'], result['recall'], result['JI']) == (0, 1, 0, 0)


def test_only_the_jaccard_index(evaluate):
    assert evaluate(TRUTH, metric='JI') == dict(JI=1.0)


def test_a_part_of_the_images_is_said_to_be_one(evaluate, monkeypatch):
    said = []
    monkeypatch.setattr(MMLogger, 'warning', lambda self, text: said.append(text))
    assert evaluate({name: TRUTH[name] for name in ('b,2', 'c,3')}) == dict(mAP=0.75, mMR=0.0, JI=1.0, recall=1.0)
    assert len(said) == 1 and said[0].startswith('evaluated 2 of the 4 images of ')


def test_images_of_another_set_are_an_error(evaluate):
    with pytest.raises(UserError, match=r'annotation_val.odgt has no image e,5 \(1 unknown in all\)'):
        evaluate({**TRUTH, 'e,5': []})
