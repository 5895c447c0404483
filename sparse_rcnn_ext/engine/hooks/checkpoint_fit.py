"""See whether a checkpoint fits the model, and let it fit where only the number of classes differs."""

import re
from typing import NamedTuple

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.runner.base_loop import BaseLoop
from torch import Tensor

from sparse_rcnn_ext.engine.errors import UserError
from sparse_rcnn_ext.registry import HOOKS

_CLASSIFIER = re.compile(r'roi_head\.bbox_head\.\d+\.fc_cls\.(weight|bias)')
_MISMATCHES_SHOWN = 3


class Fit(NamedTuple):
    """What became of comparing a checkpoint with a model."""

    classifiers: list[str]
    """The classifiers' parameters that differ in the number of classes only."""
    mismatches: list[str]
    """What else differs, a phrase each."""
    matching: int
    """Entries of the model that the checkpoint holds in the same shape."""
    total: int
    """Entries of the model."""

    def __str__(self) -> str:
        more = len(self.mismatches) - _MISMATCHES_SHOWN
        shown = '; '.join(self.mismatches[:_MISMATCHES_SHOWN]) + (f'; and {more} more' if more > 0 else '')
        return f'{self.matching} of {self.total} parameters ({self.matching / self.total:.0%}) match: {shown}'


@HOOKS.register_module()
class CheckpointFitHook(Hook):
    """Looks at every checkpoint that the Runner loads.

    - Training from ``load_from``: where the number of classes differs, and nothing else of a layer, the classifiers
      ``roi_head.bbox_head.N.fc_cls`` keep their fresh initialisation, and one line of the log says so. Any other
      mismatch is a warning, and an error where nothing matches.
    - Testing, and resuming a training: any mismatch is an error.

    Raises:
        UserError: In those cases. It gives the share that matches, and the first mismatches by name and shape.
    """

    # EMAHook takes a copy of the checkpoint, and is to get what the model gets.
    priority = 'HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check ``checkpoint`` before the model takes it; refresh its classifiers in place."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        own, loaded = model.state_dict(), checkpoint.get('state_dict', checkpoint)
        # What mmengine strips too.
        keys = {key.removeprefix('module.'): key for key in loaded}
        fit = _compare(own, {name: loaded[key] for name, key in keys.items()})
        file = runner._load_from or 'the checkpoint'
        starts_training = isinstance(runner._train_loop, BaseLoop) and not runner._resume
        if fit.classifiers:
            first = fit.classifiers[0]
            before, now = len(loaded[keys[first]]), len(own[first])
            if not starts_training:
                raise UserError(
                    f'{file} was trained on {before} classes ({first}), and the config has {now}: '
                    f'set model.roi_head.bbox_head.num_classes to {before}, or give a checkpoint of this config'
                )
            for name in fit.classifiers:
                loaded[keys[name]] = own[name].clone()
            layers = dict.fromkeys(name.rpartition('.')[0] for name in fit.classifiers)
            runner.logger.info(
                f'{file} was trained on {before} classes, and the config has {now}: '
                f'{", ".join(layers)} keep their fresh initialisation.'
            )
        if fit.mismatches and not starts_training:
            raise UserError(f'{file} does not fit the config; {fit}: give the config that it was trained with')
        if fit.mismatches and not fit.matching:
            raise UserError(f'load_from={file} does not fit the config at all; {fit}: give another one, or None')
        if fit.mismatches:
            runner.logger.warning(f'{file} fits the config in part; {fit}. The rest keeps its fresh initialisation.')


def _compare(own: dict[str, Tensor], loaded: dict[str, Tensor]) -> Fit:
    # A count that old checkpoints lack, and nothing but BatchNorm without momentum reads.
    own, loaded = (
        {name: value for name, value in state.items() if not name.endswith('num_batches_tracked')}
        for state in (own, loaded)
    )
    both = [name for name in own if name in loaded]
    # Another file than a checkpoint may hold anything.
    shapes = {name: (tuple(getattr(loaded[name], 'shape', ())), tuple(own[name].shape)) for name in both}
    differing = {name: pair for name, pair in shapes.items() if pair[0] != pair[1]}
    others = {name.rpartition('.')[0] for name, (before, now) in differing.items() if before[1:] != now[1:]}
    classifiers = [name for name in differing if _CLASSIFIER.fullmatch(name) and name.rpartition('.')[0] not in others]
    mismatches = [
        f'{name} is {_size(before)} in the file and {_size(now)} in the model'
        for name, (before, now) in differing.items()
        if name not in classifiers
    ]
    mismatches += [f'{name} ({_size(own[name].shape)}) is not in the file' for name in own if name not in loaded]
    mismatches += [
        f'{name} ({_size(getattr(value, "shape", ()))}) is not in the model'
        for name, value in loaded.items()
        if name not in own
    ]
    return Fit(classifiers, mismatches, len(both) - len(differing), len(own))


def _size(shape: tuple[int, ...]) -> str:
    return '×'.join(map(str, shape)) or 'a single value'
