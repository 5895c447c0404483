"""What a replayed batch tells, as text."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from sparse_rcnn_ext.engine.training.batch_replay import IllModule, Replay
from sparse_rcnn_ext.engine.training.non_finite import ANOTHER_PROCESS, stage_of
from sparse_rcnn_ext.engine.training.saved_batch import SavedBatch, walk_images

SHOWN = 12
"""Parameters that are named, at most."""


class Source(NamedTuple):
    """Where the weights of a replay are from, and how it computed."""

    checkpoint: str
    iteration: int | None
    """After how many iterations it was saved; None where it does not say."""
    ill_weights: Sequence[str]
    """Its weights that are not finite."""
    precision: str | None
    """Of mixed precision, such as ``'bfloat16'``; None: there was none."""

    def __str__(self) -> str:
        return self.checkpoint + ('' if self.iteration is None else f', which is of iteration {self.iteration}')


def write_report(saved: SavedBatch, replay: Replay, source: Source, anomaly: bool) -> str:
    """Losses, the first module, gradients and images; the verdict is the last line.

    Args:
        saved: The batch.
        replay: What came of it.
        source: Of the weights.
        anomaly: Whether the operation was looked for.
    """
    lines = [f'The batch of iteration {saved.iteration}, in which {saved.found}.', '']
    lines += [f'Losses, computed in {source.precision or "full precision"}:', *_losses(replay.losses), '']
    lines += [_module(replay.module), _gradients(replay.gradients)]
    if anomaly:
        found = replay.operation or 'none'
        lines.append(f'The first operation of the backward pass that gave NaN: {found}.')
    lines += ['', 'Images:']
    for pixels, sample in walk_images(saved.batch):
        lines.append(f'  {_name(sample)}: {"; ".join([*_boxes(pixels, sample), _pixels(pixels)])}')
    return '\n'.join([*lines, '', verdict(saved, replay, source)])


def _losses(losses: dict[str, float]) -> Iterator[str]:
    width = max(map(len, losses))
    for name, value in losses.items():
        stage = stage_of(name)
        place = 'all' if name == 'loss' else '' if stage is None else f'stage {stage}'
        yield f'  {name:{width}}  {place:8}  {value:<12.6g}{"" if math.isfinite(value) else "  not finite"}'.rstrip()


def _module(module: IllModule | None) -> str:
    if module is None:
        return 'The output of every module is finite.'
    what = f'{module.name or "the model itself"} ({module.kind})'
    given = 'finite' if module.inputs_finite else 'not finite already'
    weights = '' if module.weights_finite else '; its weights are not finite'
    return (
        f'The first module whose output is not finite: {what}. Its inputs are {given}, '
        f'up to {module.largest:.3g} in magnitude{weights}.'
    )


def _gradients(names: Sequence[str]) -> str:
    if not names:
        return 'The gradients of all parameters are finite.'
    more = f' and {len(names) - SHOWN} more' if len(names) > SHOWN else ''
    return f'Parameters whose gradient is not finite: {", ".join(names[:SHOWN])}{more}.'


def _name(sample: dict) -> str:
    return str(sample.get('img_path') or sample.get('img_id') or 'an image without a name')


def _boxes(pixels: Tensor, sample: dict) -> Iterator[str]:
    """What is odd in the boxes of an image; else their number."""
    boxes = (sample.get('gt_instances') or {}).get('bboxes')
    if not isinstance(boxes, Tensor) or boxes.shape[-1] != 4 or not len(boxes):
        yield 'no boxes'
        return
    boxes = boxes.double()
    finite = boxes.isfinite().all(1)
    sides = boxes[:, 2:] - boxes[:, :2]
    found = {'not finite': ~finite, 'without area': finite & (sides <= 0).any(1)}
    size = sample.get('img_shape') or pixels.shape[-2:]
    if len(size) >= 2:
        size = torch.tensor(size[1::-1], dtype=torch.float64)
        found['outside of the image'] = finite & ((boxes[:, :2] >= size) | (boxes[:, 2:] <= 0)).any(1)
        # Rounding and augmentations may reach over the border by a little.
        found['larger than the image'] = finite & (sides > size + 1).any(1)
    yield f'{len(boxes)} {"boxes" if len(boxes) > 1 else "box"}'
    for what, which in found.items():
        if which.any():
            first = ', '.join(f'{value:.6g}' for value in boxes[which][0].tolist())
            yield f'{int(which.sum())} {what}, such as ({first})'


def _pixels(pixels: Tensor) -> str:
    values = pixels.double()
    finite = values[values.isfinite()]
    span = f'pixels from {float(finite.min()):g} to {float(finite.max()):g}' if finite.numel() else 'no finite pixel'
    ill = values.numel() - finite.numel()
    return span + (f', and {ill} not finite' if ill else '')


def verdict(saved: SavedBatch, replay: Replay, source: Source) -> str:
    """Whether it fails again, and what to do, in one line."""
    if replay.is_ill:
        return f'It fails again with the weights of {source}: {_cure(saved, source)}.'
    intro = f'It does not fail with the weights of {source}: '
    if saved.found.startswith(ANOTHER_PROCESS):
        return f'{intro}this batch had not failed, replay that of the process which names a loss.'
    if source.iteration is not None and source.iteration >= saved.iteration:
        return f'{intro}they are later than the batch, give a checkpoint of before.'
    if source.iteration == saved.iteration - 1:
        return (
            f'{intro}the iteration began with these very weights, so the device or the precision made the difference, '
            'replay it as the training ran, with --device and --amp.'
        )
    other = ', or without --amp' if source.precision else ''
    return (
        f'{intro}the weights had gone wrong between them and iteration {saved.iteration}, so start with '
        f'load_from={source.checkpoint} and a lower optim_wrapper.optimizer.lr{other}.'
    )


def _cure(saved: SavedBatch, source: Source) -> str:
    if source.ill_weights:
        return f'{source.ill_weights[0]} is not finite in it, so take an earlier checkpoint'
    values = [value for pixels, sample in walk_images(saved.batch) for value in (pixels, _box_numbers(sample))]
    if not all(bool(value.isfinite().all()) for value in values):
        return 'mend the images above that have values which are not finite'
    if source.precision:
        return 'try --amp off, and where that does not fail train without --amp'
    return (
        'these weights are enough for it, so replay it with an earlier checkpoint; where that fails too, look at the '
        'module and the images above, else start from that one with a lower optim_wrapper.optimizer.lr'
    )


def _box_numbers(sample: dict) -> Tensor:
    boxes = (sample.get('gt_instances') or {}).get('bboxes')
    return boxes if isinstance(boxes, Tensor) else torch.zeros(0)
