"""A label means the same class in training, validation and test."""

import logging

import pytest
import torch
from mmdet.evaluation import CocoMetric as MMDetCocoMetric
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import HOOKS, init_default_scope
from mmengine.structures import BaseDataElement
from torch.utils.data import DataLoader

from sparse_rcnn_ext.datasets.learnable import labels_by_file
from sparse_rcnn_ext.engine.hooks import ClassNamesHook
from sparse_rcnn_ext.errors import UserError
from tests.datasets.tiny_coco import cats_and_dogs, write
from tests.engine.hooks.small_runner import Names, SmallDetector, make_runner, save


def load(tmp_path, meta: dict, classes=('cat', 'dog')):
    model = SmallDetector(2)
    path = save(tmp_path / 'start.pth', model.state_dict(), meta=meta)
    return make_runner(tmp_path, [ClassNamesHook()], model, classes, load_from=path)


def test_training_and_validation_agree(tmp_path):
    make_runner(tmp_path, [ClassNamesHook()], SmallDetector(2)).train()
    assert (tmp_path / 'epoch_1.pth').is_file()


@pytest.mark.parametrize('val_classes', [('dog', 'cat'), ('cat',), ('cat', 'owl')])
def test_training_and_validation_differ(tmp_path, val_classes):
    runner = make_runner(tmp_path, [ClassNamesHook()], SmallDetector(2), val_classes=val_classes)
    with pytest.raises(UserError) as error:
        runner.train()
    assert str(error.value) == (
        f'training has the classes cat, dog and validation {", ".join(val_classes)}: '
        'set metainfo.classes of both data sets to the same names in the same order'
    )
    assert not (tmp_path / 'epoch_1.pth').exists()


def test_without_validation_or_names(tmp_path):
    settings = dict(val_dataloader=None, val_evaluator=None, val_cfg=None)
    make_runner(tmp_path, [ClassNamesHook()], SmallDetector(2), **settings).train()
    make_runner(tmp_path, [ClassNamesHook()], SmallDetector(2), val_classes=()).train()


@pytest.mark.parametrize('number', [1, 3, 80])
def test_model_of_another_number_of_classes(tmp_path, number):
    model = SmallDetector(number)
    for stage in model.roi_head.bbox_head:
        stage.num_classes = number
    model.roi_head.num_classes = 7  # not a box head
    with pytest.raises(UserError) as error:
        make_runner(tmp_path, [ClassNamesHook()], model).train()
    assert str(error.value) == (
        f'model.roi_head.bbox_head.num_classes is {number}, and the training data have 2 classes (cat, dog): '
        'set it to 2, or metainfo.classes of the data sets to those meant'
    )
    assert not (tmp_path / 'epoch_1.pth').exists()
    make_runner(tmp_path, [], model).train()  # the stack alone trains on


@pytest.mark.parametrize('number', [1, 80])
def test_tested_model_of_another_number_of_classes(tmp_path, number):
    model = SmallDetector(number)
    for stage in model.roi_head.bbox_head:
        stage.num_classes = number
    with pytest.raises(UserError, match=f'num_classes is {number}, and the test data have 2 classes'):
        make_runner(tmp_path, [ClassNamesHook()], model).test()


def test_model_of_the_same_number_of_classes(tmp_path):
    model = SmallDetector(2)
    for stage in model.roi_head.bbox_head:
        stage.num_classes = 2
    make_runner(tmp_path, [ClassNamesHook()], model).train()
    assert (tmp_path / 'epoch_1.pth').is_file()


META = [dict(dataset_meta=dict(classes=('dog', 'cat'))), dict(dataset_meta=dict(CLASSES=['dog', 'cat']))]


@pytest.mark.parametrize('meta', [*META, dict(CLASSES=('dog', 'cat'))])
def test_checkpoint_of_another_order(tmp_path, meta):
    with pytest.raises(UserError) as error:
        load(tmp_path, meta).test()
    assert str(error.value) == (
        f'{tmp_path}/start.pth was trained on the classes dog, cat, and the data set has cat, dog: '
        'set its metainfo.classes to the order of the checkpoint'
    )
    load(tmp_path, meta, classes=('dog', 'cat')).test()


@pytest.mark.parametrize(('names', 'warned'), [(('cat', 'hound'), True), (('cat', 'dog'), False), (None, False)])
def test_checkpoint_of_other_names(tmp_path, names, warned, caplog):
    runner = load(tmp_path, dict(dataset_meta=dict(classes=names)) if names else {})
    runner.logger.addHandler(caplog.handler)
    runner.test()
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    expected = f'{tmp_path}/start.pth was trained on the classes cat, hound, and the data set has cat, dog.'
    assert lines == [expected] * warned


def test_fine_tuning_may_rename(tmp_path):
    load(tmp_path, META[0]).train()


class Joined(Names):
    """As mmdet's ConcatDataset, whose metainfo is a list where those of its parts differ."""

    def __init__(self, *parts: dict) -> None:
        self._metainfo = list(parts)

    @property
    def metainfo(self) -> list | dict:
        return self._metainfo


def join(*parts: dict) -> DataLoader:
    return DataLoader(Joined(*parts), collate_fn=pseudo_collate)


CAT, PINK = dict(classes=('cat', 'dog')), dict(classes=('cat', 'dog'), palette=[(255, 192, 203)] * 2)


def test_joined_data_sets_may_differ_in_colours(tmp_path):
    loaders = dict(train_dataloader=join(CAT, PINK), val_dataloader=join(PINK, CAT))
    runner = make_runner(tmp_path, [ClassNamesHook()], SmallDetector(2), **loaders)
    runner.train()
    saved = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)
    assert saved['meta']['dataset_meta'] == CAT
    assert runner.val_evaluator.metrics[0].dataset_meta == PINK
    assert runner.visualizer.dataset_meta['classes'] == CAT['classes']


@pytest.mark.parametrize('phase', ['train', 'val', 'test'])
def test_joined_data_sets_of_other_classes(tmp_path, phase):
    loaders = {f'{phase}_dataloader': join(CAT, dict(classes=('dog', 'cat')))}
    runner = make_runner(tmp_path, [ClassNamesHook()], SmallDetector(2), **loaders)
    with pytest.raises(UserError, match=f'{phase}_dataloader.dataset joins .* cat, dog and one with dog, cat: '):
        runner.test() if phase == 'test' else runner.train()


def labelled(tmp_path, kind: str, classes: tuple[str, ...], content=None, **wrapper) -> DataLoader:
    path = write(tmp_path / 'truth.json', content or cats_and_dogs(), tmp_path / 'images')
    settings = dict(ann_file=str(path), data_prefix=dict(img=str(tmp_path / 'images')), metainfo=dict(classes=classes))
    dataset = dict(type=kind, pipeline=[PackNothing()], **settings)
    init_default_scope('mmdet')
    return DataLoader(
        DATASETS.build({**wrapper, 'dataset': dataset} if wrapper else dataset), collate_fn=pseudo_collate
    )


class PackNothing:
    def __call__(self, results: dict) -> dict:
        return dict(inputs=torch.zeros(1), data_samples=BaseDataElement())


@pytest.mark.parametrize('wrapper', [{}, dict(type='RepeatDataset', times=2)])
def test_labels_in_the_order_of_the_file(tmp_path, wrapper, caplog):
    """As mmdet's own data set has them: our metric would take each class for another."""
    metric = dict(type='sparse_rcnn_ext.CocoMetric', ann_file=str(tmp_path / 'truth.json'))
    loader = labelled(tmp_path, 'CocoDataset', ('dog', 'cat'), **wrapper)
    runner = make_runner(tmp_path, [ClassNamesHook()], SmallDetector(2), test_dataloader=loader, test_evaluator=metric)
    with pytest.raises(UserError) as error:
        runner.test()
    assert str(error.value) == (
        f"test_dataloader.dataset is mmdet's CocoDataset, whose labels follow the order of {tmp_path}/truth.json, "
        "cat, dog, and not that of its metainfo.classes: set its type to 'sparse_rcnn_ext.CocoDataset'"
    )
    runner = make_runner(tmp_path, [ClassNamesHook()], SmallDetector(2), test_dataloader=loader)
    runner.logger.addHandler(caplog.handler)
    runner.test()
    assert 'or names in pictures and results are those of other classes' in caplog.text


@pytest.mark.parametrize(
    ('kind', 'classes'), [('CocoDataset', ('cat', 'dog')), ('sparse_rcnn_ext.CocoDataset', ('dog', 'cat'))]
)
def test_labels_in_the_order_of_the_classes(tmp_path, kind, classes):
    assert list(labels_by_file(labelled(tmp_path, kind, classes).dataset)) == []


def test_a_class_that_the_file_lacks_moves_those_behind_it(tmp_path):
    for classes, by_file in ((('cat', 'owl', 'dog'), ['cat', 'dog']), (('cat', 'dog', 'owl'), None)):
        found = list(labels_by_file(labelled(tmp_path, 'CocoDataset', classes).dataset))
        assert found == ([(str(tmp_path / 'truth.json'), by_file)] if by_file else [])


def test_nothing_to_learn(tmp_path):
    content = cats_and_dogs()
    content['annotations'] = [box for box in content['annotations'] if box['category_id'] == 7]
    loader = labelled(tmp_path, 'sparse_rcnn_ext.CocoDataset', ('cat',), content)
    settings = dict(val_dataloader=None, val_evaluator=None, val_cfg=None)
    with pytest.raises(UserError, match=r'none of the 3 images of train_dataloader\.dataset has a box of the classes '):
        make_runner(tmp_path, [ClassNamesHook()], SmallDetector(1), train_dataloader=loader, **settings).train()
    assert not (tmp_path / 'epoch_1.pth').exists()


@pytest.mark.parametrize('indices', [None, [0, 1]])
def test_validation_on_the_images_that_are_learned(tmp_path, indices, caplog):
    kind, classes = 'sparse_rcnn_ext.CocoDataset', ('cat', 'dog')
    loaders = dict(train_dataloader=labelled(tmp_path, kind, classes), val_dataloader=labelled(tmp_path, kind, classes))
    if indices:
        loaders['val_dataloader'].dataset._indices = indices
    runner = make_runner(tmp_path, [ClassNamesHook()], SmallDetector(2), **loaders)
    runner.logger.addHandler(caplog.handler)
    runner.train()
    line = f'Training and validation take the same images, those of {tmp_path}/truth.json: '
    assert caplog.text.count(line) == (indices is None)


def test_on_by_default(repo_dir):
    hooks = Config.fromfile(repo_dir / 'configs/_base_/default_runtime.py').default_hooks
    assert type(HOOKS.build(hooks.class_names)) is ClassNamesHook


class Told(MMDetCocoMetric):
    """Notes what it is to judge when the first image comes."""

    def process(self, data_batch, data_samples) -> None:
        self.results.append(self.img_ids)

    def compute_metrics(self, results) -> dict:
        return dict(told=all(numbers == [0, 1, 2] for numbers in results))


@pytest.mark.parametrize('phase', ['val', 'test'])
def test_a_metric_of_mmdet_is_told_what_is_run(tmp_path, phase):
    loader = labelled(tmp_path, 'CocoDataset', ('cat', 'dog'))
    judge = Told(str(write(tmp_path / 'more.json', cats_and_dogs(9))))
    runner = make_runner(
        tmp_path,
        [ClassNamesHook()],
        SmallDetector(2),
        **{f'{phase}_dataloader': loader, f'{phase}_evaluator': [judge]},
    )
    numbers = runner.test() if phase == 'test' else runner.val()
    assert numbers == {'coco/told': True}
