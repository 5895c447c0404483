"""What to tell, and to keep, of a training step that was not finite."""

import io
import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from mmdet.structures.bbox import BaseBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.dist import get_rank, get_world_size
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from sparse_rcnn_ext.engine.checkpoints.atomic_file import write_atomically
from sparse_rcnn_ext.engine.checkpoints.background_writer import WRITER
from sparse_rcnn_ext.engine.checkpoints.resuming import find_last_checkpoint
from sparse_rcnn_ext.errors import UserError

FOLDER = 'non_finite'
"""Of a run's folder: batches whose losses or gradients were not finite."""

ANOTHER_PROCESS = 'the loss of another process is not finite'
"""How it begins, what a process tells whose own batch is not the reason."""

MASKS = {'masks', 'height', 'width'}
"""Keys of instance masks in a plain batch."""

_STAGE = re.compile(r'^(?:dn_)?s(\d+)\.|bbox_head\.(\d+)\.')
_SHOWN = 4


def ill_losses(outputs: dict | None) -> dict[str, float]:
    """Names and values of the losses that are not finite; their sum only where no other is."""
    values = {
        name: float(value.detach().sum())
        for name, value in (outputs or {}).items()
        if 'loss' in name and isinstance(value, Tensor)
    }
    found = {name: value for name, value in values.items() if not math.isfinite(value)}
    return {name: value for name, value in found.items() if name != 'loss'} or found


def describe_losses(losses: dict[str, float]) -> str:
    """Losses, values and stages, as part of a sentence."""
    if not losses:
        return 'the loss is not finite'
    return _some([f'{name} is {value}' for name, value in losses.items()]) + _stages(losses)


def describe_gradients(model: nn.Module, parameters: Sequence[nn.Parameter]) -> str:
    """Whose gradients are not finite, as part of a sentence."""
    ids = {id(parameter) for parameter in parameters}
    names = [name for name, parameter in model.named_parameters() if id(parameter) in ids]
    return f'the losses are finite, but not the gradient of {_some(names)}{_stages(names)}'


def stop(runner: Runner, found: str, iteration: int, data_batch: object, losses: dict[str, float]) -> UserError:
    """Save the batch; the error names it, its images and the last checkpoint.

    Args:
        runner: The Runner that trains.
        found: What is not finite.
        iteration: Which one it was, from 1.
        data_batch: What the data loader gave; tools/analysis/replay_batch.py replays it.
        losses: Names and values that are not finite, to be saved beside the batch.
    """
    batch = plain(data_batch)
    rank = f'_process_{get_rank()}' if get_world_size() > 1 else ''
    path = Path(runner.work_dir, FOLDER, f'iter_{iteration}{rank}.pt')
    file = io.BytesIO()
    # The model's random numbers of this iteration, see ExactResumeHook.
    seed = [runner.seed, get_rank(), iteration - 1, 0]
    torch.save(dict(iteration=iteration, found=found, losses=losses, seed=seed, data_batch=batch), file)
    checkpoint, good = last_checkpoint(runner)
    replay = ''
    try:
        write_atomically(path, file.getvalue())
        saved = f'the batch is saved as {path}'
        if checkpoint:
            replay = _how_to_replay(runner, checkpoint, path)
    except UserError as error:
        # A full disk must not hide what happened.
        saved = f'the batch could not be saved ({error})'
    images = describe_images(batch)
    return UserError(
        f'training stopped in iteration {iteration}, before the step of the optimizer: {found}'
        f'{f", on {images}" if images else ""}; {saved}, {good}: lower the learning rate, '
        f'or look at these images and their boxes{replay}'
    )


def _how_to_replay(runner: Runner, checkpoint: str, batch: Path) -> str:
    """A command, as the end of a sentence."""
    # The Runner wrote it there, with all options of the command line.
    config = Path(runner.work_dir, Path(runner.cfg.filename or f'{runner.timestamp}.py').name)
    arguments = shlex.join(map(str, (config, checkpoint, batch)))
    return f'; python tools/analysis/replay_batch.py {arguments} shows where it begins'


def last_checkpoint(runner: Runner) -> tuple[str | None, str]:
    """Where the weights of before are; also as part of a sentence."""
    try:
        WRITER.wait()
        path = find_last_checkpoint(runner.work_dir)
    except UserError as error:
        return None, str(error)
    return path, f'the last good checkpoint is {path}' if path else 'no checkpoint had been saved yet'


def describe_images(batch: object) -> str:
    """Names of the images of a plain batch, and which of them have values that are not finite."""
    samples = batch.get('data_samples') if isinstance(batch, dict) else None
    inputs = batch.get('inputs') if isinstance(batch, dict) else None
    names = []
    for number, sample in enumerate(samples if isinstance(samples, list) else []):
        if not isinstance(sample, dict):
            continue
        name = str(sample.get('img_path') or sample.get('img_id', number))
        boxes = (sample.get('gt_instances') or {}).get('bboxes')
        pixels = inputs[number] if isinstance(inputs, (list, Tensor)) and number < len(inputs) else None
        ill = [what for what, values in (('a box', boxes), ('pixels', pixels)) if not _all_finite(values)]
        names.append(f'{name} (with {" and ".join(ill)} not finite)' if ill else name)
    # Those that are ill themselves first, so that they are not among "more".
    return _some(sorted(names, key=lambda name: not name.endswith('not finite)')))


def _all_finite(values: object) -> bool:
    return not isinstance(values, Tensor) or bool(values.isfinite().all())


def stage_of(name: str) -> str | None:
    """The number of the stage that a loss or a parameter is of, from 0, by its name; None: of none."""
    found = _STAGE.search(name)
    return next(filter(None, found.groups())) if found else None


def _stages(names: Iterable[str]) -> str:
    stages = {stage for name in names if (stage := stage_of(name)) is not None}
    if not stages:
        return ''
    listed = ', '.join(sorted(stages, key=int))
    return f' (stage {listed}; the first is 0)' if len(stages) == 1 else f' (stages {listed}; the first is 0)'


def _some(texts: Sequence[str]) -> str:
    more = f' and {len(texts) - _SHOWN} more' if len(texts) > _SHOWN else ''
    return ', '.join(texts[:_SHOWN]) + more


def ill_weights_error(runner: Runner, names: Sequence[str], iteration: int) -> UserError:
    """For weights that are not finite when they are to be saved."""
    return UserError(
        f'after iteration {iteration} {_some(names)} of the model '
        f'{"are" if len(names) > 1 else "is"} not finite, so no checkpoint is written over the good ones; '
        f'{last_checkpoint(runner)[1]}: lower the learning rate'
    )


def plain(value: object) -> object:
    """``value`` without any class but tensors, dicts, lists, strings and numbers; whatever is none becomes its text.

    So ``torch.load(weights_only=True)`` reads it anywhere. Boxes become the tensor of their numbers, arrays tensors, a
    data sample the dict of its meta data and fields, masks the dict of theirs.
    """
    if isinstance(value, BaseBoxes):
        value = value.tensor
    if isinstance(value, Tensor):
        # A slice would be saved with all that it is a slice of.
        return value.detach().cpu().clone()
    if isinstance(value, np.ndarray) and value.dtype.kind in 'biuf':
        return torch.from_numpy(np.array(value))
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (BitmapMasks, PolygonMasks)):
        return {name: plain(getattr(value, name)) for name in sorted(MASKS)}
    if isinstance(value, BaseDataElement):
        return {name: plain(part) for name, part in (*value.metainfo_items(), *value.items())}
    if isinstance(value, Mapping):
        return {plain(name): plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value) if isinstance(value, Path) else repr(value)
