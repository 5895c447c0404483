"""Switches compiled parts on for the time of a training."""

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from sparse_rcnn_ext.engine.compilation import compile_for_training, undo_compile_for_training
from sparse_rcnn_ext.registry import HOOKS


@HOOKS.register_module()
class CompileHook(Hook):
    """Compiles the parts of a SparseRCNN before it trains, see :func:`compile_for_training`.

    Args:
        options: Arguments of ``torch.compile``; True for none.
    """

    def __init__(self, options: bool | dict = True) -> None:
        self.options = options

    def before_train(self, runner: Runner) -> None:
        """Compile; the code itself is made in the first steps."""
        compile_for_training(_detector(runner), self.options)
        runner.logger.info('Backbone, neck and stages are compiled: the first steps take a minute or more.')

    def after_train(self, runner: Runner) -> None:
        """Leave the detector as it was."""
        undo_compile_for_training(_detector(runner))


def _detector(runner: Runner):
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
