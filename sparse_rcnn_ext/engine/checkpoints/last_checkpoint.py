"""Which checkpoint a training goes on from."""

import logging
import os
from pathlib import Path
from zipfile import ZipFile

import torch
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import print_log

from sparse_rcnn_ext.errors import UserError

from .atomic_file import write_atomically
from .run_state import RUN_STATE

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
        job: Only checkpoints that this job saved count, see :func:`~.run_state.job_name`;
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
