"""Ends a training on other data than it began with."""

from collections.abc import Iterator, Sequence

from mmengine.dataset import Compose
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.utils.data import Dataset

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.registry import HOOKS


@HOOKS.register_module()
class LastEpochsPipelineHook(Hook):
    """In the last epochs, training images go through another pipeline, such as one without mosaic and mixup.

    Only the number of the epoch decides, so a training that is resumed, before these epochs or within them, is the
    same as one that was never stopped.

    Args:
        share: Of all epochs, how many are the last ones, from 0 to 1; their number is rounded.
        pipeline: Theirs. Each data set within a ConcatDataset, RepeatDataset or ClassBalancedDataset gets it.

    Raises:
        UserError: If ``share`` is none, the training loop counts no epochs, or a data set has no pipeline.
    """

    def __init__(self, share: float, pipeline: Sequence[dict]) -> None:
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
            raise UserError(f'share of LastEpochsPipelineHook is {share!r}: set it to a number from 0 to 1')
        self.share = share
        self.pipeline = pipeline
        self._first = 0
        self._switches: list[tuple[Dataset, Compose]] = []

    def before_train(self, runner: Runner) -> None:
        """Build the pipeline, so that what is wrong with it shows before the first epoch."""
        loop = runner.train_loop
        if isinstance(loop, IterBasedTrainLoop):
            raise UserError(
                f'LastEpochsPipelineHook needs epochs, and the train_cfg.type {type(loop).__name__} counts iterations: '
                "set it to 'EpochBasedTrainLoop', or leave the hook out"
            )
        self._first = loop.max_epochs - round(self.share * loop.max_epochs)
        # One for each: a pipeline may keep images of its data set.
        self._switches = [(dataset, Compose(self.pipeline)) for dataset in _innermost(loop.dataloader.dataset)]

    def before_train_epoch(self, runner: Runner) -> None:
        """Switch, once."""
        if runner.epoch < self._first or not self._switches:
            return
        for dataset, pipeline in self._switches:
            dataset.pipeline = pipeline
        self._switches = []
        # Workers that outlive an epoch have copies of the data sets: this ends them, and the epoch starts new ones.
        runner.train_dataloader._iterator = None
        runner.logger.info(f'Epochs {self._first + 1} to {runner.max_epochs} train on images of another pipeline.')


def _innermost(dataset: Dataset) -> Iterator[Dataset]:
    """The data sets that images come from, below those that wrap or join them."""
    parts = getattr(dataset, 'datasets', [dataset.dataset] if hasattr(dataset, 'dataset') else [])
    for part in parts:
        yield from _innermost(part)
    if not parts:
        if not hasattr(dataset, 'pipeline'):
            raise UserError(
                f'LastEpochsPipelineHook finds no pipeline in train_dataloader.dataset.type {type(dataset).__name__}: '
                'use a data set of mmdet, or leave the hook out'
            )
        yield dataset
