"""The batch that a stopped training has saved, as a model takes it again: the inverse of ``non_finite.plain``."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from sparse_rcnn_ext.engine.checkpoints.checkpoint_file import read_torch_file
from sparse_rcnn_ext.engine.config.run_config import is_torch_file
from sparse_rcnn_ext.errors import UserError

from .non_finite import FOLDER, MASKS

_ADVICE = f'give the file that the end of the training named, {FOLDER}/iter_N.pt in its folder'
_INSTANCES = ('gt_instances', 'ignored_instances', 'proposals', 'pred_instances')
_MAPS = ('gt_sem_seg', 'gt_panoptic_seg')


class SavedBatch(NamedTuple):
    """What ``non_finite.stop`` has saved."""

    iteration: int
    """From 1."""
    found: str
    """What was not finite, as part of a sentence."""
    batch: dict
    """Of tensors and plain containers; :func:`restore` makes it one for a model."""
    seed: tuple[int, ...] | None
    """What ``seed_all`` took before the iteration; None in a file of before there was one."""


def read_batch(path: str | Path) -> SavedBatch:
    """Read such a file as safely as a checkpoint.

    Raises:
        UserError: If it is not there, is damaged, or is another file.
    """
    if not Path(path).is_file():
        raise UserError(f'no batch file {path}: {_ADVICE}')
    if not is_torch_file(path):
        raise UserError(f'{path} is no file of torch.save, or was cut off: {_ADVICE}')
    content = read_torch_file(Path(path), kind='batch')
    try:
        batch = content['data_batch']
        saved = SavedBatch(int(content['iteration']), str(content['found']), batch, content.get('seed'))
        # What is no batch shows when it is taken apart.
        if not list(walk_images(batch)) or not restore(batch):
            raise ValueError
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, AssertionError) as error:
        raise UserError(f'{path} holds no batch of images: {_ADVICE}') from error
    return saved


def walk_images(batch: dict) -> Iterator[tuple[Tensor, dict]]:
    """Pixels, as the data loader gave them, and data sample of each image of a plain batch, branch by branch."""
    branches = isinstance(batch['inputs'], dict)
    for name in batch['inputs'] if branches else (None,):
        inputs, samples = (batch[part][name] if branches else batch[part] for part in ('inputs', 'data_samples'))
        yield from zip(inputs, samples, strict=True)


def restore(batch: dict) -> dict:
    """A plain batch as the data loader gave it, of tensors of its own: what a model's data preprocessor takes.

    Boxes are tensors, which mmdet's preprocessor makes of them anyway. A field that was saved as a text is left out.
    """
    return {name: _samples(part) if name == 'data_samples' else _copy(part) for name, part in batch.items()}


def _samples(part: dict | list) -> dict | list[DetDataSample]:
    if isinstance(part, dict):
        return {name: _samples(branch) for name, branch in part.items()}
    return [_sample(fields) for fields in part]


def _sample(fields: dict) -> DetDataSample:
    sample = DetDataSample()
    for name, value in fields.items():
        if name in _INSTANCES:
            setattr(sample, name, _instances(value))
        elif name in _MAPS:
            setattr(sample, name, PixelData(**_copy(value)))
        else:
            # Which copies it.
            sample.set_metainfo({name: _meta(value)})
    return sample


def _instances(fields: dict) -> InstanceData:
    return InstanceData(
        **{
            name: _masks(**_copy(value)) if isinstance(value, dict) and value.keys() == MASKS else _copy(value)
            for name, value in fields.items()
            if not isinstance(value, str)
        }
    )


def _masks(masks: Tensor | list, height: int, width: int) -> BitmapMasks | PolygonMasks:
    if isinstance(masks, Tensor):
        return BitmapMasks(masks.numpy(), height, width)
    return PolygonMasks([[polygon.numpy() for polygon in instance] for instance in masks], height, width)


def _meta(value: object) -> object:
    """mmdet's sizes and factors are tuples, its matrices arrays."""
    if isinstance(value, Tensor):
        return value.numpy()
    return tuple(map(_meta, value)) if isinstance(value, list) else value


def _copy(value: object) -> object:
    """A batch augmentation of mmdet's changes boxes in place."""
    if isinstance(value, dict):
        return {name: _copy(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_copy(part) for part in value]
    return value.clone() if isinstance(value, Tensor) else value
