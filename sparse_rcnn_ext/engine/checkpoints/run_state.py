"""What a checkpoint must hold beside mmengine's part of it, so that a resumed training is the same training."""

import os
from collections.abc import Sequence
from pathlib import Path

from mmengine.dist import get_world_size
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

RUN_STATE = 'run_state'
"""The key of a checkpoint under which it stands."""


def job_name() -> str | None:
    """A name for the job of torchrun to which this process belongs, the same after a restart; None: no such job.

    It is that of rank 0 that counts: without ``--rdzv-id`` each machine has one of its own.
    """
    name = os.environ.get('TORCHELASTIC_RUN_ID')
    if name != 'none':
        return name
    # All jobs without --rdzv-id are called that. What starts processes again is the same process each time.
    parent = os.getppid()
    status = Path('/proc', str(parent), 'stat')
    started = status.read_text().rpartition(')')[2].split()[19] if status.is_file() else ''
    return f'{os.uname().nodename}-{parent}-{started}'


def restarts() -> int:
    """How often torchrun started this process again."""
    return int(os.environ.get('TORCHELASTIC_RESTART_COUNT', 0))


def mean_batch_size(batch_size: int | Sequence[int]) -> int | float:
    """Images of a batch; where each of several joined data sets has its own number, and batches to itself, their mean.

    Args:
        batch_size: That of a data loader; a list for mmdet's MultiDataAspectRatioBatchSampler.
    """
    if isinstance(batch_size, int):
        return batch_size
    mean = sum(batch_size) / len(batch_size)
    return int(mean) if mean.is_integer() else mean


def describe_batch(runner: Runner) -> dict[str, int | float]:
    """Of what the effective batch of a training is made."""
    loader = runner.train_loop.dataloader
    batch_size = loader.batch_size or getattr(loader.batch_sampler, 'batch_size', None) or 1
    return dict(
        processes=get_world_size(),
        images=mean_batch_size(batch_size),
        accumulated=getattr(runner.optim_wrapper, '_accumulative_counts', 1),
    )


def without_functions(state: dict) -> dict:
    """What of a scheduler's state is numbers and texts; it has its functions anyway."""
    return {name: value for name, value in state.items() if not callable(value)}


def unwrapped(runner: Runner) -> nn.Module:
    """The model without DistributedDataParallel around it."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def pending_gradients(runner: Runner) -> dict[str, Tensor]:
    """Gradients accumulated since the last step of the optimizer, by the names of their parameters."""
    wrapper = runner.optim_wrapper
    if getattr(wrapper, '_inner_count', 0) % getattr(wrapper, '_accumulative_counts', 1) == 0:
        return {}
    return {name: weight.grad for name, weight in unwrapped(runner).named_parameters() if weight.grad is not None}
