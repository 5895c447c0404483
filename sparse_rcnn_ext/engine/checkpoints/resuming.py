"""Which checkpoint a training goes on from, and what it must hold so that it is the same training."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

import torch
from mmengine.dist import broadcast_object_list, get_world_size, is_main_process
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from sparse_rcnn_ext.errors import UserError

from .atomic_file import write_atomically

RECORD = 'last_checkpoint'
"""The file in a run's folder that names the checkpoint which was saved last."""


def record_checkpoint(work_dir: str | Path, checkpoint: str | Path) -> None:
    """Name ``checkpoint`` in the record of ``work_dir``, relative to it, so that the folder can be moved.

    An address of a storage service stays as it is.
    """
    name = str(checkpoint)
    if '://' not in name:
        name = os.path.relpath(name, work_dir)
    write_atomically(Path(work_dir, RECORD), name.encode())


def find_last_checkpoint(work_dir: str | Path, job: str | None = None) -> str | None:
    """The whole checkpoint that was saved last; files that are not whole are named in a warning and passed over.

    That is the one of the record, and where this is gone, empty, cut off or damaged, the newest other one from which
    a training can go on.

    Args:
        work_dir: The folder of the run.
        job: Only checkpoints that this job saved count, see :func:`job_name`;
            None: all.

    Returns:
        Its path, or address where checkpoints go to a storage service; None where nothing was saved yet.

    Raises:
        UserError: If something was saved, and nothing whole is left.
    """
    record = Path(work_dir, RECORD)
    name = record.read_text(errors='replace').strip() if record.is_file() else ''
    if '://' in name:
        return name
    recorded = locate(Path(work_dir), name) if name else None
    if recorded and is_whole(recorded) and _counts(recorded, job):
        return str(recorded)
    folder = recorded.parent if recorded else Path(work_dir)
    files = sorted(folder.glob('*.pth'), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    broken = [path for path in files if not is_whole(path)]
    if name and not recorded.is_file():
        broken.insert(0, recorded)
    # The best ones are saved without the optimizer.
    others = (path for path in files if path not in broken and _counts(path, job) and 'optimizer' in _read(path))
    found = next(others, None)
    listed = ', '.join(map(str, broken))
    if found is None:
        if broken and job is None:
            raise UserError(
                f'{listed} is gone, empty or damaged, and {folder} has no whole checkpoint: '
                f'delete it and {record} to start anew'
            )
        return None
    if broken:
        print_log(f'{listed} is gone, empty or damaged: {found} is used.', logger='current', level=logging.WARNING)
    return str(found)


def agree_on_last_checkpoint(work_dir: str | Path, job: str | None = None) -> str | None:
    """What :func:`find_last_checkpoint` finds in rank 0, for all processes of a job; to be called in all of them.

    Else processes that see different folders, or the same one at different times, would train different models.

    Raises:
        UserError: As there, in all processes; and where rank 0's checkpoint is not on the machine of another.
    """
    found, problem = None, None
    if is_main_process():
        try:
            found = find_last_checkpoint(work_dir, job)
        except UserError as error:
            problem = str(error)
    answer = [found, problem]
    broadcast_object_list(answer)
    found, problem = answer
    if problem is not None:
        raise UserError(problem)
    if found is not None and '://' not in found and not Path(found).is_file():
        raise UserError(
            f'rank 0 goes on from {found}, which is not on the machine {os.uname().nodename}: '
            'put the work dir on a folder that all machines share, or copy it'
        )
    return found


def is_whole(path: Path) -> bool:
    """Whether all of a file of ``torch.save`` is there and undamaged; it is read for that."""
    try:
        with ZipFile(path) as archive:
            return archive.testzip() is None
    except Exception:  # damage shows in many ways
        return False


def locate(work_dir: Path, name: str) -> Path:
    """Where the checkpoint is that the record of a folder names; beside it, where it is nowhere."""
    path = work_dir / name
    # mmengine records it as seen from where the training was started; then the folder may have been moved.
    candidates = (path, Path(name), work_dir / path.name)
    return next((candidate for candidate in candidates if candidate.is_file()), candidates[-1])


def _counts(path: Path, job: str | None) -> bool:
    return job is None or (_read(path).get(RUN_STATE) or {}).get('job') == job


def _read(path: Path) -> dict:
    """A checkpoint without its tensors, which stay on the disk; empty where it is something else."""
    try:
        checkpoint = torch.load(path, map_location='cpu', mmap=True, weights_only=True)
    except Exception:  # other files than checkpoints fail in many ways
        return {}
    return checkpoint if isinstance(checkpoint, dict) else {}


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
