"""Switches the fast forward pass on for the time of a test."""

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner

from sparse_rcnn_ext.engine.fast_inference import fast_forward_stages
from sparse_rcnn_ext.registry import HOOKS


@HOOKS.register_module()
class FastInferenceHook(Hook):
    """Tests with the fast forward pass of a SparseRCNN; for the arguments see :func:`fast_forward_stages`."""

    # After the EMAHook, which puts averaged weights into the model before a test.
    priority = 'LOWEST'

    def __init__(
        self,
        fuse_conv_bn: bool = False,
        channels_last: bool = True,
        dtype: str | None = None,
        compile: bool | dict = False,
    ) -> None:
        self.settings = dict(fuse_conv_bn=fuse_conv_bn, channels_last=channels_last, dtype=dtype, compile=compile)

    def before_test_epoch(self, runner: Runner) -> None:
        """Switch on."""
        detector = _detector(runner)
        detector.forward_stages = fast_forward_stages(detector, **self.settings)
        runner.logger.info(f'Fast inference: {self.settings}')

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Switch off."""
        del _detector(runner).forward_stages


def _detector(runner: Runner):
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    return model.module if isinstance(model, BaseTTAModel) else model
