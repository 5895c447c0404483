"""Mixed precision on the CPU too."""

import logging

import torch
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper as MMEngineAmpOptimWrapper
from mmengine.optim import OptimWrapper
from torch.optim import Optimizer

from ..registry import OPTIM_WRAPPERS
from .errors import UserError


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(MMEngineAmpOptimWrapper):
    """mmengine's wrapper without its refusal of the CPU, and without a loss scaler where bfloat16 needs none.

    Gradient accumulation, clipping (on unscaled gradients) and autocast are mmengine's.

    Args:
        optimizer: The optimizer to step.
        dtype: ``'float16'`` (CUDA only), ``'bfloat16'``, or None: float16 on CUDA, bfloat16 on the CPU.
        init_scale: First value of the dynamic loss scale of float16.
        accumulative_counts: Backward passes before each step.
        clip_grad: Arguments of ``torch.nn.utils.clip_grad_norm_``; ``type='value'`` takes ``clip_grad_value_``.

    Raises:
        UserError: For another dtype, or for float16 without CUDA.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        dtype: str | None = None,
        init_scale: float = 65536.0,
        accumulative_counts: int = 1,
        clip_grad: dict | None = None,
    ) -> None:
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
        self.loss_scaler = torch.amp.GradScaler(
            'cuda' if cuda else 'cpu', init_scale=init_scale, enabled=dtype == 'float16'
        )

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
