"""torch.compile on the parts of a detector that are tensors in, tensors out."""

import os
import sysconfig
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.config import Config
from torch import nn

from sparse_rcnn_ext.engine.config.run_config import set_hook
from sparse_rcnn_ext.errors import UserError


def compiled(function: Callable, device: torch.device, options: bool | dict) -> Callable:
    """``torch.compile`` with a clear word where this machine cannot.

    Args:
        function: What to compile.
        device: Where it will run.
        options: Arguments of ``torch.compile``, such as ``dict(mode='max-autotune')``; True for none.

    Raises:
        UserError: If torch's default backend misses a compiler, or ``options`` do not fit ``torch.compile``.
    """
    arguments = {} if options is True else dict(options)
    if arguments.get('backend', 'inductor') == 'inductor':
        _check_compiler(device)
    try:
        return torch.compile(function, **arguments)
    except (TypeError, RuntimeError) as error:
        raise UserError(f'compile={options} does not fit torch.compile: {error}') from error


def compile_for_training(detector: nn.Module, options: bool | dict = True) -> None:
    """Compile backbone with neck, where the RoIs read, and the stages.

    Matching and losses stay as they are, and so does the sum over the pyramid's rows, whose gradients of all stages
    gather in one place. All stages share one graph. Images of other sizes cost no new graph after the first few, and
    without gradients (validation) nothing is compiled at all. Names in the state dict do not change.

    Args:
        detector: A ``SparseRCNN``, not its wrapper. Copies of it would run this one's weights: see
            :func:`undo_compile_for_training`.
        options: See :func:`compiled`.

    Raises:
        UserError: See :func:`compiled`; also if ``detector`` is no SparseRCNN.
    """
    if not hasattr(detector, 'forward_stages'):
        raise UserError(f'--compile needs a sparse_rcnn_ext.SparseRCNN, and the model is a {type(detector).__name__}')
    device = next(detector.parameters()).device
    for owner, name in _parts(detector):
        setattr(owner, name, _with_gradients(getattr(owner, name), device, options))


def undo_compile_for_training(detector: nn.Module) -> None:
    """Bring the methods back that :func:`compile_for_training` replaced."""
    for owner, name in _parts(detector):
        vars(owner).pop(name, None)


def switch_compile(cfg: Config, switch: bool) -> None:
    """Let :class:`CompileHook` do what ``compile`` asks of mmengine, which would compile ``train_step`` as a whole.

    That one takes lists and data samples, and breaks into pieces at each of them.

    Args:
        cfg: The config of the run; its ``compile`` is True or a dict of arguments of ``torch.compile``.
        switch: Compile also where the config does not ask for it.
    """
    options = cfg.pop('compile', None) or switch
    if options:
        set_hook(cfg, 'compile', type='sparse_rcnn_ext.CompileHook', options=options)


def _parts(detector: nn.Module) -> list[tuple[nn.Module, str]]:
    # A stage that runs several times is there once.
    stages = [(stage, 'forward') for stage in dict.fromkeys(detector.roi_head.bbox_head)]
    return [(detector, 'extract_feat'), (detector.roi_head.roi_features, '_bags'), *stages]


def _with_gradients(method: Callable, device: torch.device, options: bool | dict) -> Callable:
    """Compiled in training steps only."""
    fast = compiled(method, device, options)

    def choose(*args):
        return fast(*args) if torch.is_grad_enabled() else method(*args)

    return choose


def _check_compiler(device: torch.device) -> None:
    from torch._inductor.cpp_builder import get_cpp_compiler  # half a second, and only needed here
    from torch._inductor.exc import InvalidCxxCompiler

    wish = 'leave --compile (compile of the config) away'
    try:
        get_cpp_compiler()
    except (InvalidCxxCompiler, RuntimeError):
        compiler = os.environ.get('CXX', 'g++')
        raise UserError(
            f'torch.compile found no C++ compiler {compiler}: install one (apt-get install g++), or {wish}'
        ) from None
    header = Path(sysconfig.get_paths()['include'], 'Python.h')
    if not header.is_file():
        raise UserError(
            f"torch.compile needs {header}, which is not there: install Python's headers "
            f'(apt-get install python3-dev), or {wish}'
        )
    if device.type == 'cuda':
        from torch.utils._triton import has_triton

        if not has_triton():
            raise UserError(f'torch.compile needs Triton on CUDA: pip install triton, or {wish}')
