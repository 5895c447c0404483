"""Mixed precision on the CPU too."""

import logging

import torch
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper as MMEngineAmpOptimWrapper
from mmengine.optim import OptimWrapper
from torch.optim import Optimizer

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(MMEngineAmpOptimWrapper):
    """mmengine's wrapper without its refusal of the CPU, and without a loss scaler where bfloat16 needs none.

    Gradient accumulation, clipping (on unscaled gradients) and autocast are mmengine's.

    Args:
        optimizer: The optimizer to step.
        dtype: ``'float16'`` (CUDA only), ``'bfloat16'``, or None: float16 on CUDA, bfloat16 on the CPU.
        loss_scale: Of float16, as mmengine's: ``'dynamic'``, a number that it stays at, or arguments of
            ``torch.amp.GradScaler``. bfloat16 needs none.
        use_fsdp: mmengine's, which has to stay false.
        accumulative_counts: Backward passes before each step.
        clip_grad: Arguments of ``torch.nn.utils.clip_grad_norm_``; ``type='value'`` takes ``clip_grad_value_``.

    Raises:
        UserError: For another dtype or loss scale, for float16 without CUDA, or with ``use_fsdp``.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        dtype: str | None = None,
        loss_scale: str | float | dict = 'dynamic',
        use_fsdp: bool = False,
        accumulative_counts: int = 1,
        clip_grad: dict | None = None,
    ) -> None:
        if use_fsdp:
            raise UserError('optim_wrapper.use_fsdp is true, and this wrapper scales losses without FSDP: leave it out')
        cuda = torch.cuda.is_available()
        if dtype is None:
            dtype = 'float16' if cuda else 'bfloat16'
        if dtype not in ('float16', 'bfloat16'):
            raise UserError(f"optim_wrapper.dtype is {dtype!r}: set it to 'float16' or 'bfloat16'")
        if dtype == 'float16' and not cuda:
            raise UserError(
                'mixed precision in float16 needs CUDA, which this machine lacks: use --amp bf16 '
                "or set optim_wrapper.dtype='bfloat16'"
            )
        if dtype == 'bfloat16' and not cuda:
            warn_of_slow_bfloat16()
        # Past the parent's constructor, which asserts a GPU; its methods use the three attributes below.
        OptimWrapper.__init__(self, optimizer, accumulative_counts=accumulative_counts, clip_grad=clip_grad)
        self.cast_dtype = getattr(torch, dtype)
        self._scale_update_param = None
        settings = {}
        if isinstance(loss_scale, (int, float)):
            settings['init_scale'] = self._scale_update_param = float(loss_scale)
        elif isinstance(loss_scale, dict):
            settings = loss_scale
        elif loss_scale != 'dynamic':
            raise UserError(f"optim_wrapper.loss_scale is {loss_scale!r}: set it to 'dynamic', a number or a dict")
        if settings and dtype == 'bfloat16':
            print_log('optim_wrapper.loss_scale is for float16, and bfloat16 goes without one.', logger='current')
        self.loss_scaler = torch.amp.GradScaler('cuda' if cuda else 'cpu', enabled=dtype == 'float16', **settings)

    def load_state_dict(self, state_dict: dict) -> None:
        """Resume from any run, in this precision or another.

        Args:
            state_dict: What ``state_dict`` of this wrapper, or of mmengine's, returned. It is left unchanged.
        """
        state_dict = dict(state_dict)
        # A bfloat16 run saved an empty scaler state, which an enabled scaler refuses.
        if not state_dict.get('loss_scaler'):
            state_dict.pop('loss_scaler', None)
        super().load_state_dict(state_dict)


def warn_of_slow_bfloat16() -> None:
    """Say so where this CPU has no instructions for bfloat16: there it costs many times what float32 does."""
    # oneDNN needs AVX-512 for it, and else takes a reference implementation.
    if torch.backends.cpu.get_cpu_capability() == 'AVX2':
        print_log(
            'This CPU has no AVX-512 and computes bfloat16 in software: float32, without --amp, is many times as fast.',
            logger='current',
            level=logging.WARNING,
        )
