"""See that a label means the same class wherever it is used."""

import re

from mmdet.evaluation import CocoMetric as MMDetCocoMetric
from mmdet.evaluation import MultiDatasetsEvaluator
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.runner.base_loop import BaseLoop
from torch.utils.data import Dataset

from sparse_rcnn_ext.datasets.joined import listed, refuse_shared_ids, settle_classes
from sparse_rcnn_ext.datasets.learnable import check_boxes, labels_by_file, shared_files
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.evaluation import CocoMetric, judge_what_runs
from sparse_rcnn_ext.registry import HOOKS


@HOOKS.register_module()
class ClassNamesHook(Hook):
    """Compares the class names of training and validation, their number with ``num_classes`` of the model's box heads,
    and in a test the names of the checkpoint with those of the data.

    Training data without a box of the classes end a run too, and a validation on the images that are learned is told.

    Data sets that are joined may differ in their palettes, and whatever else, but not in their classes: the first one's
    metainfo is that of all.

    mmdet's CocoDataset labels in the order of its file. Where that is not the order of the classes, and our CocoMetric
    goes by the classes, nothing that is found would be right.

    A metric of COCO tells images apart by their ids, so these are to differ in what it judges, and mmdet's own is told
    which images of its file are run.

    Raises:
        UserError: If two images of a validation or test have the same id, labels are in the order of the file and our
            CocoMetric judges them, joined data sets differ, training and validation do, the model has another number of
            classes than the data, no image of the training has a box of the classes, or a checkpoint was trained on the
            same names in another order. Other names, such as ``airplane`` for ``aeroplane``, are a warning.
    """

    def before_run(self, runner: Runner) -> None:
        """Settle on one metainfo, and hand it on to those that took a list of them when the loops were built."""
        loops = dict(train=runner._train_loop, val=runner._val_loop, test=runner._test_loop)
        for phase, loop in loops.items():
            dataset = loop.dataloader.dataset if isinstance(loop, BaseLoop) else None
            _check_labels(runner, dataset, loop, f'{phase}_dataloader.dataset')
            evaluator = getattr(loop, 'evaluator', None)
            if _judges_all(evaluator):
                refuse_shared_ids(dataset, f'{phase}_dataloader.dataset')
            if evaluator is not None:
                judge_what_runs(evaluator, dataset)
            if not isinstance(getattr(dataset, 'metainfo', None), list):
                continue
            settle_classes(dataset, f'{phase}_dataloader.dataset')
            if evaluator is not None:
                evaluator.dataset_meta = dataset.metainfo
            if isinstance(runner.visualizer.dataset_meta, list):
                runner.visualizer.dataset_meta = dataset.metainfo

    def before_train(self, runner: Runner) -> None:
        """Compare the two data sets of a training, and the model with them."""
        trained = _names(runner._train_loop)
        if isinstance(runner._val_loop, BaseLoop):
            validated = _names(runner._val_loop)
            if trained and validated and trained != validated:
                raise UserError(
                    f'training has the classes {listed(trained)} and validation {listed(validated)}: '
                    'set metainfo.classes of both data sets to the same names in the same order'
                )
            for path in shared_files(runner.train_dataloader.dataset, runner._val_loop.dataloader.dataset):
                runner.logger.warning(
                    f'Training and validation take the same images, those of {path}: the AP tells nothing about others.'
                )
        if trained:
            _check_number(runner, trained, 'training')
        check_boxes(runner.train_dataloader.dataset, 'train_dataloader.dataset')

    def before_test(self, runner: Runner) -> None:
        """Compare the model with what it is tested on."""
        if tested := _names(runner._test_loop):
            _check_number(runner, tested, 'test')

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare what a tested model was trained on with what it is tested on."""
        if isinstance(runner._train_loop, BaseLoop):
            return
        tested = _names(runner._test_loop) or _names(runner._val_loop)
        trained = _names_in(checkpoint)
        if not tested or not trained or trained == tested:
            return
        difference = (
            f'{runner._load_from or "the checkpoint"} was trained on the classes {listed(trained)}, '
            f'and the data set has {listed(tested)}'
        )
        if sorted(trained) == sorted(tested):
            raise UserError(f'{difference}: set its metainfo.classes to the order of the checkpoint')
        runner.logger.warning(f'{difference}.')


def _judges_all(evaluator: Evaluator | None) -> bool:
    """Whether one of COCO's metrics has the images of all data sets."""
    if evaluator is None or isinstance(evaluator, MultiDatasetsEvaluator):
        return False
    return any(isinstance(metric, MMDetCocoMetric) for metric in evaluator.metrics)


def _check_labels(runner: Runner, dataset: Dataset | None, loop: object, setting: str) -> None:
    for path, by_file in labels_by_file(dataset):
        sentence = (
            f"{setting} is mmdet's CocoDataset, whose labels follow the order of {path}, {listed(by_file)}, and not "
            "that of its metainfo.classes: set its type to 'sparse_rcnn_ext.CocoDataset'"
        )
        if any(isinstance(metric, CocoMetric) for metric in getattr(getattr(loop, 'evaluator', None), 'metrics', ())):
            raise UserError(sentence)
        runner.logger.warning(f'{sentence}, or names in pictures and results are those of other classes')


def _check_number(runner: Runner, classes: tuple[str, ...], phase: str) -> None:
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    for name, part in model.named_modules():
        number = getattr(part, 'num_classes', None)
        # A backbone's own number counts something else, and a proposal head knows one class.
        if 'bbox_head' in name.split('.') and type(number) is int and number != len(classes):
            setting = 'model.' + re.sub(r'\.\d+', '', name)
            raise UserError(
                f'{setting}.num_classes is {number}, and the {phase} data have {len(classes)} classes '
                f'({listed(classes)}): set it to {len(classes)}, or metainfo.classes of the data sets to those meant'
            )


def _names(loop: object) -> tuple[str, ...]:
    """Of the data set of a loop; none where it was not built or has no such thing."""
    if not isinstance(loop, BaseLoop):
        return ()
    return tuple(getattr(loop.dataloader.dataset, 'metainfo', {}).get('classes') or ())


def _names_in(checkpoint: dict) -> tuple[str, ...]:
    meta = checkpoint.get('meta') or {}
    # Checkpoints of mmdet 2 say CLASSES, in meta itself.
    for owner in (meta.get('dataset_meta') or {}, meta):
        for key in ('classes', 'CLASSES'):
            if owner.get(key):
                return tuple(owner[key])
    return ()
