"""The VOC evaluators of our config on a small VOCdevkit: the truth scores 1, by VOC's own rules."""

import pytest
import torch
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData

from tests.datasets.convert.minis import make_voc

CLASSES = ('cat', 'dog')


@pytest.fixture(scope='module')
def cfg(repo_dir, tmp_path_factory) -> Config:
    root = tmp_path_factory.mktemp('VOCdevkit')
    make_voc(root / 'VOC2007', CLASSES, {'trainval': range(2), 'test': range(2, 6)})
    make_voc(root / 'VOC2012', CLASSES, {'trainval': range(4)})
    cfg = Config.fromfile(repo_dir / 'configs/_base_/datasets/voc0712.py')
    for dataset in (*cfg.train_dataloader.dataset.datasets, cfg.val_dataloader.dataset):
        dataset.data_root = f'{root}/'
    return cfg


@pytest.fixture(scope='module')
def samples(cfg):
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    samples = [dataset[index]['data_samples'] for index in range(len(dataset))]
    for sample in samples:  # as a model's data_preprocessor hands them on
        for instances in (sample.gt_instances, sample.ignored_instances):
            instances.bboxes = instances.bboxes.tensor
    return samples


def evaluate(cfg: Config, samples: list, detections: list[InstanceData]) -> dict[str, float]:
    evaluator = Evaluator(cfg.val_evaluator)
    evaluator.dataset_meta = DATASETS.build(cfg.val_dataloader.dataset).metainfo
    for sample, found in zip(samples, detections):
        sample = sample.clone()
        sample.pred_instances = found
        evaluator.process(data_samples=[sample])
    return evaluator.evaluate(len(samples))


def truth(samples: list) -> list[InstanceData]:
    return [
        InstanceData(
            bboxes=sample.gt_instances.bboxes.clone(),
            labels=sample.gt_instances.labels,
            scores=torch.linspace(0.9, 0.8, len(sample.gt_instances)),
        )
        for sample in samples
    ]


def test_classes_are_found_by_name(cfg, samples):
    names = DATASETS.build(cfg.val_dataloader.dataset).metainfo['classes']
    assert len(names) == 20
    assert [[names[label] for label in sample.gt_instances.labels] for sample in samples] == [list(CLASSES)] * 4
    assert [len(sample.ignored_instances) for sample in samples] == [1, 0, 0, 0]


def test_both_years_are_trained_on(cfg):
    assert len(DATASETS.build(cfg.train_dataloader.dataset)) == 2 + 4


def test_the_truth_scores_one(cfg, samples):
    assert evaluate(cfg, samples, truth(samples)) == {
        f'voc_{mode}/{name}': 1.0 for mode in ('11points', 'area') for name in ('mAP', 'AP50')
    }


def test_a_difficult_object_counts_neither_way(cfg, samples):
    found = truth(samples)
    ignored = samples[0].ignored_instances
    extra = InstanceData(bboxes=ignored.bboxes, labels=ignored.labels, scores=torch.ones(len(ignored)))
    found[0] = InstanceData.cat([extra, found[0]])
    assert evaluate(cfg, samples, found)['voc_area/AP50'] == 1.0


def test_a_missed_object_costs_by_either_rule(cfg, samples):
    found = truth(samples)
    found[1] = found[1][:1]  # of the four dogs one is missed: recall 3/4 at precision 1
    result = evaluate(cfg, samples, found)
    assert result['voc_area/AP50'] == pytest.approx((1 + 3 / 4) / 2, abs=1e-3)
    assert result['voc_11points/AP50'] == pytest.approx((1 + 8 / 11) / 2, abs=1e-3)


def test_half_of_the_overlap_is_the_limit(cfg, samples):
    found = truth(samples)
    for instances in found:
        instances.bboxes[:, 2] += 0.6 * (instances.bboxes[:, 2] - instances.bboxes[:, 0])
    assert evaluate(cfg, samples, found)['voc_area/AP50'] == 1.0
    for instances in found:
        instances.bboxes[:, 2] += 0.6 * (instances.bboxes[:, 2] - instances.bboxes[:, 0])
    assert evaluate(cfg, samples, found)['voc_area/AP50'] == 0.0
