"""mmdet's own COCO metrics judge the images that are run, as ours does."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmdet.evaluation import CocoMetric as MMDetCocoMetric
from mmdet.evaluation import VOCMetric
from mmdet.registry import DATASETS
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.registry import EVALUATOR, init_default_scope
from torch.utils.data import Dataset, Subset

from sparse_rcnn_ext.evaluation import judge_what_runs
from tests.datasets.tiny_coco import cats_and_dogs, write
from tests.evaluation.test_coco_metric import samples

CLASSES = ('cat', 'dog')
SENTENCE = "ann_file of mmdet's CocoMetric has {} images: the evaluation is of the {} that are run"


@pytest.fixture(autouse=True)
def said(monkeypatch) -> list[str]:
    said = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'warning', said.append)
    init_default_scope('mmdet')
    return said


def part(path: Path, **settings) -> dict:
    data = dict(
        ann_file=str(path), data_prefix=dict(img=''), metainfo=dict(classes=CLASSES), pipeline=[], test_mode=True
    )
    return dict(type='CocoDataset', **data, **settings)


def metric(path: Path | None, kind: str = 'CocoMetric', **settings) -> dict:
    return dict(type=kind, ann_file=path and str(path), proposal_nums=(1, 10, 100), **settings)


def evaluate(evaluator: Evaluator, dataset: Dataset, content: dict) -> list[float]:
    """The AP of each metric if all objects of the images that are run are found."""
    evaluator.dataset_meta = dataset.metainfo
    ids = [dataset.get_data_info(index)['img_id'] for index in range(len(dataset))]
    for sample in samples(content, CLASSES):
        if sample.img_id in ids:
            evaluator.process(data_samples=[sample])
    numbers = evaluator.evaluate(len(dataset))
    return [value for name, value in numbers.items() if name.endswith('bbox_mAP')]


@pytest.mark.parametrize('fraction', [dict(indices=1), dict(indices=[0, 2]), dict(indices=[3])])
def test_what_is_not_run_is_not_missed(tmp_path, said, fraction):
    content = cats_and_dogs(4, first=10)
    path = write(tmp_path / 'truth.json', content)
    dataset = DATASETS.build(part(path, **fraction))
    alone, told = Evaluator(metric(path)), Evaluator(metric(path))
    # The stack alone: the recall is the share of the images.
    assert evaluate(alone, dataset, content)[0] < len(dataset) / 4 + 0.01
    judge_what_runs(told, dataset)
    assert said == [SENTENCE.format(4, len(dataset))]
    for _ in range(2):  # as at the validations of a training
        assert evaluate(told, dataset, content) == [1.0]


def test_a_part_that_is_held_out(tmp_path, said):
    content = cats_and_dogs(4)
    path = write(tmp_path / 'truth.json', content)
    held_out = dict(part='val', val_fraction=0.5)
    dataset = DATASETS.build(part(path, held_out=held_out) | dict(type='sparse_rcnn_ext.CocoDataset'))
    evaluator = Evaluator(metric(path))
    judge_what_runs(evaluator, dataset)
    assert said == [SENTENCE.format(4, 2)]
    assert evaluate(evaluator, dataset, content) == [1.0]


def test_joined_data_sets(tmp_path, said):
    """One metric for all, and a metric for each."""
    content = cats_and_dogs(6)
    path = write(tmp_path / 'truth.json', content)
    parts = [part(path, indices=[0, 1]), part(path, indices=[4])]
    joined = DATASETS.build(dict(type='ConcatDataset', datasets=parts))
    evaluator = Evaluator(metric(path))
    judge_what_runs(evaluator, joined)
    assert evaluate(evaluator, joined, content) == [1.0]
    metrics = [metric(path), metric(path, 'sparse_rcnn_ext.CocoMetric')]
    several = dict(type='MultiDatasetsEvaluator', metrics=metrics, dataset_prefixes=['one', 'two'])
    several = EVALUATOR.build(several)
    judge_what_runs(several, joined)
    assert evaluate(several, joined, content) == [1.0, 1.0]
    ours = f'{path} has 6 images: the evaluation is of the 1 that were run'
    assert said == [SENTENCE.format(6, 3), SENTENCE.format(6, 2), ours]


def test_nothing_is_told_where_all_is_run(tmp_path, said):
    content = cats_and_dogs(4)
    path, other = write(tmp_path / 'truth.json', content), write(tmp_path / 'other.json', json.dumps(content))
    evaluator = Evaluator([metric(path), metric(other, 'sparse_rcnn_ext.CocoMetric'), dict(type='VOCMetric')])
    judge_what_runs(evaluator, DATASETS.build(part(path)))
    assert [getattr(one, 'img_ids', None) for one in evaluator.metrics] == [None] * 3
    assert said == []


def test_another_metric_with_a_file_of_the_same_form(tmp_path, said):
    """It may judge in another way: mmdet's own of described objects does."""

    class Other(VOCMetric):
        _coco_api = SimpleNamespace(imgs={number: {} for number in range(9)})

    other = Other()
    judge_what_runs(Evaluator(other), DATASETS.build(part(write(tmp_path / 'truth.json', cats_and_dogs(4)))))
    assert said == [] and not hasattr(other, 'img_ids')


def test_a_data_set_that_does_not_tell(tmp_path, said):
    evaluator = Evaluator(metric(write(tmp_path / 'truth.json', cats_and_dogs(4))))
    judge_what_runs(evaluator, Subset([{}, {}], [1]))
    assert said == [] and evaluator.metrics[0].img_ids is None


def test_truth_that_comes_with_the_samples(tmp_path, said):
    content = cats_and_dogs(4)
    path = write(tmp_path / 'truth.json', content)
    evaluator, dataset = Evaluator(metric(None)), DATASETS.build(part(path, indices=2))
    judge_what_runs(evaluator, dataset)
    assert said == []
    assert evaluate(evaluator, dataset, content) == [1.0]


def test_a_metric_of_ones_own_keeps_its_answer(tmp_path, said):
    """One that inherits from mmdet's is told too, and another file's images are left as they are."""

    class Own(MMDetCocoMetric):
        pass

    own = Own(str(write(tmp_path / 'truth.json', cats_and_dogs(4))))
    judge_what_runs(Evaluator(own), DATASETS.build(part(write(tmp_path / 'few.json', cats_and_dogs(2, first=2)))))
    assert own.img_ids == [2, 3] and said == [SENTENCE.replace('CocoMetric', 'Own').format(4, 2)]
