"""Runs a saved batch through a model once more, forward and backward, and watches where it stops being finite."""

import math
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import AmpOptimWrapper
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from sparse_rcnn_ext.engine.config.config_parts import is_part, scope_of
from sparse_rcnn_ext.engine.config.run_config import AMP_DTYPES
from sparse_rcnn_ext.errors import UserError

from .finite_check import FiniteCheck
from .saved_batch import SavedBatch, restore
from .seeded_batches import seed_all

_ILL_OPERATION = re.compile(r"Function '(\w+)' returned nan")
_FRAME = re.compile(r'File "(.+?)", line (\d+), in (\S+)')


class IllModule(NamedTuple):
    """A module whose output is not finite."""

    name: str
    """As ``named_modules`` has it; empty: the model, whose modules gave finite values."""
    kind: str
    """Its class."""
    inputs_finite: bool
    largest: float
    """Of its finite inputs, the largest in magnitude."""
    weights_finite: bool


class Replay(NamedTuple):
    """What came of a batch."""

    losses: dict[str, float]
    """By name; ``loss`` is their sum."""
    module: IllModule | None
    """The first one, in the order in which modules end."""
    gradients: list[str]
    """Parameters whose gradients are not finite, or overflow when they are squared, as an optimizer does."""
    operation: str | None
    """Of the backward pass the first that gave NaN, and where it came from; None too where it was not looked for."""

    @property
    def is_ill(self) -> bool:
        """Whether a training would have stopped here."""
        return bool(self.gradients) or not all(map(math.isfinite, self.losses.values()))


def build_to_train(cfg: Config, device: str) -> nn.Module:
    """The model of a config, in training mode, on a device; its weights are still to come."""
    init_default_scope(scope_of(cfg))
    # There is one process, and on the CPU torch's SyncBatchNorm does not run at all.
    return revert_sync_batchnorm(MODELS.build(cfg.model)).to(device).train()


def training_state(checkpoint: dict) -> dict[str, Tensor]:
    """The weights that were trained, where mmengine's EMAHook has put their average in their place."""
    state = checkpoint.get('state_dict', checkpoint)
    averaged = checkpoint.get('ema_state_dict') or {}
    return {**state, **{name[7:]: value for name, value in averaged.items() if name.startswith('module.')}}


def choose_precision(cfg: Config, amp: str | None, device: str) -> torch.dtype | None:
    """What convolutions and linear layers compute in; None: in the precision of the weights.

    Args:
        cfg: The config of the training.
        amp: ``'fp16'``, ``'bf16'``, ``'auto'`` or ``'off'``; None: as the config's ``optim_wrapper`` says.
        device: Where the model runs.

    Raises:
        UserError: For float16 on a CPU.
    """
    kind = torch.device(device).type
    dtype = AMP_DTYPES.get(amp)
    if amp is None:
        wrapper = cfg.get('optim_wrapper') or {}
        if not is_part(wrapper, AmpOptimWrapper, 'optim_wrapper', scope_of(cfg)):
            return None
        dtype = wrapper.get('dtype')
    elif amp == 'off':
        return None
    dtype = dtype or ('float16' if kind == 'cuda' else 'bfloat16')
    if dtype == 'float16' and kind == 'cpu':
        raise UserError('mixed precision in float16 needs CUDA: give --amp bf16 or --amp off, or --device cuda')
    return getattr(torch, dtype)


def replay(model: nn.Module, saved: SavedBatch, dtype: torch.dtype | None = None, anomaly: bool = False) -> Replay:
    """Losses and gradients of a batch; weights stay as they are, and gradients are cleared.

    Losses are not scaled for the backward pass, as those of float16 are: what overflows here does at any scale above 1.

    Args:
        model: In training mode.
        saved: The batch. Random numbers are those of its iteration.
        dtype: See :func:`choose_precision`.
        anomaly: Whether to go through it once more, slowly, to find the operation.
    """
    model.zero_grad()
    with _first_ill_module(model) as found:
        loss, values = _loss(model, saved, dtype)
    loss.backward()
    ill = {id(weight) for weight in FiniteCheck(loss, list(model.parameters())).ill_parameters()}
    gradients = [name for name, weight in model.named_parameters() if id(weight) in ill]
    losses = {name: value.item() for name, value in values.items() if 'loss' in name}
    operation = _ill_operation(model, saved, dtype) if anomaly else None
    model.zero_grad()
    return Replay(losses, found[0] if found else None, gradients, operation)


def _loss(model: nn.Module, saved: SavedBatch, dtype: torch.dtype | None) -> tuple[Tensor, dict[str, Tensor]]:
    """As mmengine's ``train_step``."""
    if saved.seed:
        seed_all(*saved.seed)
    device = next(model.parameters()).device.type
    with torch.autocast(device, dtype, enabled=dtype is not None):
        batch = model.data_preprocessor(restore(saved.batch), True)
        losses = model._run_forward(batch, mode='loss')
    return model.parse_losses(losses)


@contextmanager
def _first_ill_module(model: nn.Module) -> Iterator[list[IllModule]]:
    """A list that gets the first module whose output is not finite: the innermost, for that one ends first."""
    found: list[IllModule] = []
    names = {module: name for name, module in model.named_modules()}

    def look(module: nn.Module, args: tuple, kwargs: dict, output: object) -> None:
        if found or all(value.isfinite().all() for value in _numbers(output)):
            return
        inputs = list(_numbers((args, kwargs)))
        finite = [value[value.isfinite()].abs().max() for value in inputs if value.isfinite().any()]
        found.append(
            IllModule(
                names[module],
                type(module).__name__,
                all(bool(value.isfinite().all()) for value in inputs),
                max(map(float, finite), default=0.0),
                all(bool(weight.isfinite().all()) for weight in module.parameters()),
            )
        )

    handles = [module.register_forward_hook(look, with_kwargs=True) for module in names]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _numbers(value: object) -> Iterator[Tensor]:
    """Tensors of numbers with a fraction; of a dict of losses these alone, for an accuracy of nothing may be NaN."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value.detach()
    elif isinstance(value, Mapping):
        losses = [part for name, part in value.items() if 'loss' in str(name)]
        yield from _numbers(losses or list(value.values()))
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _numbers(part)


def _ill_operation(model: nn.Module, saved: SavedBatch, dtype: torch.dtype | None) -> str | None:
    with warnings.catch_warnings(record=True) as caught, torch.autograd.detect_anomaly():
        warnings.simplefilter('always')
        try:
            _loss(model, saved, dtype)[0].backward()
        except RuntimeError as error:
            found = _ILL_OPERATION.search(str(error))
            if found is None:
                raise
            return found[1] + _origin([str(warning.message) for warning in caught])
    return None


def _origin(texts: list[str]) -> str:
    """The place of a forward pass, out of torch's warnings: the innermost that is none of torch."""
    torch_folder = str(Path(torch.__file__).parent)
    frames = [frame for text in texts for frame in _FRAME.findall(text) if not frame[0].startswith(torch_folder)]
    if not frames:
        return ''
    file, line, function = frames[-1]
    return f', of line {line} of {file}, in {function}'
