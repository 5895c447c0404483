"""The evaluator of our configs, which tools/test.py runs, gives COCO's own numbers."""

import json
import re

import pytest
import torch
from mmdet.datasets import CocoDataset
from mmdet.evaluation.metrics import coco_metric
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

from sparse_rcnn_ext.evaluation import box_evaluation

CLASSES = CocoDataset.METAINFO['classes']
ITEMS = (
    *('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l'),
    *('AR@1', 'AR@10', 'AR@100', 'AR_s@100', 'AR_m@100', 'AR_l@100'),
)

Detections = dict[int, tuple[Tensor, Tensor, Tensor]]


@pytest.fixture(scope='module')
def ann_file(shared_dir):
    path = shared_dir / 'data/coco_mini/annotations/instances_val2017.json'
    if not path.is_file():
        pytest.skip(f'no file {path}')
    return path


@pytest.fixture(scope='module')
def annotations(ann_file) -> dict:
    return json.loads(ann_file.read_text())


def evaluate(repo_dir, ann_file, annotations: dict, detections: Detections, part: str, **overrides) -> dict[str, float]:
    """Feed the config's evaluator with data samples as a detector gives them."""
    cfg = Config.fromfile(repo_dir / 'configs/_base_/datasets/coco_detection.py')[part]
    evaluator = Evaluator({**cfg, 'ann_file': str(ann_file), **overrides})
    evaluator.dataset_meta = dict(classes=CLASSES)
    images = annotations['images']
    for start in range(0, len(images), 8):
        samples = []
        for image in images[start : start + 8]:
            sample = DetDataSample(metainfo=dict(img_id=image['id'], ori_shape=(image['height'], image['width'])))
            bboxes, scores, labels = detections[image['id']]
            sample.pred_instances = InstanceData(bboxes=bboxes, scores=scores, labels=labels)
            samples.append(sample)
        evaluator.process(data_samples=samples)
    return evaluator.evaluate(len(images))


def truth_of(annotations: dict) -> Detections:
    """Every annotation, crowds included, as (bboxes in xyxy pixels, scores, labels) of its image."""
    names = {category['id']: category['name'] for category in annotations['categories']}
    result = {}
    for image in annotations['images']:
        own = [annotation for annotation in annotations['annotations'] if annotation['image_id'] == image['id']]
        boxes = torch.tensor([annotation['bbox'] for annotation in own], dtype=torch.float64).view(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        labels = torch.tensor([CLASSES.index(names[annotation['category_id']]) for annotation in own]).long()
        result[image['id']] = boxes.float(), torch.ones(len(own)), labels
    return result


def disturb(truth: Detections, annotations: dict) -> Detections:
    """Detections of a middling detector: the truth moved, partly mislabelled, among many random boxes."""
    generator = torch.Generator().manual_seed(0)
    result = {}
    for number, image in enumerate(annotations['images']):
        boxes, _, labels = truth[image['id']]
        noise = torch.randn(boxes.shape, generator=generator) * 0.07
        boxes = boxes + noise * (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
        wrong = torch.rand(len(labels), generator=generator) < 0.2
        random_labels = torch.randint(0, len(CLASSES), labels.shape, generator=generator)
        labels = torch.where(wrong, random_labels, labels)
        # The first image gets more boxes of one class than any maxDets.
        extra = 130 if number == 0 else 20
        corner = torch.rand(extra, 2, generator=generator) * 300
        boxes = torch.cat(
            [boxes, torch.cat([corner, corner + 10 + 200 * torch.rand(extra, 2, generator=generator)], 1)]
        )
        extra_labels = torch.randint(0, len(CLASSES), (extra,), generator=generator)
        if number == 0:
            extra_labels[:] = labels[0]
        scores = torch.rand(len(boxes), generator=generator)
        result[image['id']] = boxes, scores, torch.cat([labels, extra_labels])
    return result


def pycocotools_stats(ann_file, annotations: dict, detections: Detections) -> list[float]:
    """The 12 numbers from pycocotools alone."""
    ids = {category['name']: category['id'] for category in annotations['categories']}
    results = [
        dict(
            image_id=image,
            category_id=ids[CLASSES[label]],
            bbox=[box[0], box[1], box[2] - box[0], box[3] - box[1]],
            score=score,
        )
        for image, parts in detections.items()
        for box, score, label in zip(*(part.tolist() for part in parts), strict=True)
    ]
    truth = COCO(str(ann_file))
    evaluation = COCOeval(truth, truth.loadRes(results), 'bbox')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats.tolist()


@pytest.mark.parametrize('part', ['val_evaluator', 'test_evaluator'])
def test_the_truth_scores_one(repo_dir, ann_file, annotations, part):
    assert sum(annotation['iscrowd'] for annotation in annotations['annotations']) > 0
    found = evaluate(repo_dir, ann_file, annotations, truth_of(annotations), part)
    assert found == {f'coco/bbox_{item}': 1.0 for item in ITEMS[:6]}


def test_the_truth_scores_one_through_the_tool(repo_dir, ann_file, run_process, tmp_path):
    """Also where the classes stand in another order than the categories of the file."""
    config, checkpoint = tmp_path / 'truth.py', tmp_path / 'nothing.pth'
    data_root = f'{ann_file.parents[1]}/'
    config.write_text(
        f'_base_ = {str(repo_dir / "configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py")!r}\n'
        "custom_imports = dict(imports=['sparse_rcnn_ext', 'tests.evaluation.truth_detector'])\n"
        "model = dict(_delete_=True, type='TruthDetector')\n"
        f'dataset = dict(data_root={data_root!r}, metainfo=dict(classes={CLASSES[::-1]!r}))\n'
        'data = dict(num_workers=0, persistent_workers=False, dataset=dataset)\n'
        f'test_dataloader = val_dataloader = data\n'
        f'test_evaluator = dict(ann_file={str(ann_file)!r})\n'
    )
    torch.save(dict(meta={}, state_dict={}), checkpoint)
    code, printed = run_process(repo_dir / 'tools/test.py', [config, checkpoint, '--work-dir', tmp_path], tmp_path)
    assert code == 0, printed
    lines = re.findall(r'Average (Precision|Recall) .*maxDets= *(\d+) \] = (\d\.\d{3})', printed)
    assert [limit for _, limit, _ in lines[6:]] == ['1', '10', '100', '100', '100', '100']
    assert lines[:6] == [('Precision', '100', '1.000')] * 6
    assert lines[8:] == [('Recall', '100', '1.000')] * 4


def test_a_missing_class_costs_its_share(repo_dir, ann_file, annotations):
    truth = truth_of(annotations)
    missed = CLASSES.index('person')
    for image, parts in truth.items():
        truth[image] = tuple(part[parts[2] != missed] for part in parts)
    found = evaluate(repo_dir, ann_file, annotations, truth, 'val_evaluator')
    present = {annotation['category_id'] for annotation in annotations['annotations'] if not annotation['iscrowd']}
    assert found['coco/bbox_mAP'] == pytest.approx(1 - 1 / len(present), abs=5e-4)


@pytest.mark.parametrize(
    ('backend', 'module', 'error'), [('hotcoco', box_evaluation, 1e-12), ('pycocotools', coco_metric, 0)]
)
def test_random_detections_score_what_pycocotools_gives(
    repo_dir, ann_file, annotations, monkeypatch, backend, module, error
):
    evaluations = []

    class Recorder(COCOeval):
        """Keeps the numbers before they are rounded."""

        def summarize(self) -> None:
            super().summarize()
            evaluations.append(self.stats.tolist())

    detections = disturb(truth_of(annotations), annotations)
    expected = pycocotools_stats(ann_file, annotations, detections)
    monkeypatch.setattr(module, 'COCOeval', Recorder)
    settings = dict(metric_items=list(ITEMS), backend=backend)
    found = evaluate(repo_dir, ann_file, annotations, detections, 'test_evaluator', **settings)

    assert len(expected) == len(ITEMS) == 12
    assert all(0.02 < value < 0.95 for value in expected)  # neither hopeless nor perfect: every number says something
    assert expected[6] < expected[7] < expected[8]
    assert evaluations == [pytest.approx(expected, rel=0, abs=error)]
    assert found == {f'coco/bbox_{item}': pytest.approx(value, abs=5.1e-4) for item, value in zip(ITEMS, expected)}
