"""Checkpoints for prediction: read without running code from them, and refused where they do not fit."""

from pickle import UnpicklingError

import torch
from mmdet.registry import DATASETS
from mmengine.config import Config
from torch import nn

from sparse_rcnn_ext.engine.data_paths import walk_datasets
from sparse_rcnn_ext.engine.errors import UserError
from sparse_rcnn_ext.engine.state_fit import compare_states, refuse_official_names

# Before 2.6 torch could not be told that what mmengine's Runner stores beside tensors is harmless.
SAFE = torch.__version__ >= (2, 6)


def read_checkpoint(path: str) -> dict:
    """Read a checkpoint on the CPU.

    With torch 2.6 or later only tensors and plain values are unpickled. mmengine's own reader turns that
    safety off where it meets anything else; here the file is refused.

    Args:
        path: A file, or an address of http, https or file.

    Raises:
        UserError: If it cannot be read, is no checkpoint, or holds other objects.
    """
    try:
        if '://' in path:
            checkpoint = torch.hub.load_state_dict_from_url(path, map_location='cpu', weights_only=SAFE)
        else:
            checkpoint = torch.load(path, map_location='cpu', weights_only=SAFE)
    except UnpicklingError as error:
        raise UserError(
            f'{path} is no checkpoint, or holds more than weights and plain values, which could run code: give one of '
            'tools/train.py, or save its state_dict alone'
        ) from error
    except Exception as error:  # other files than checkpoints fail in many ways
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].partition('. ')[0]
        raise UserError(f'{path} cannot be read as a checkpoint ({reason}): give one of tools/train.py') from error
    if not isinstance(checkpoint, dict):
        raise UserError(f'{path} holds a {type(checkpoint).__name__} and no weights: give one of tools/train.py')
    return checkpoint


def load_weights(detector: nn.Module, checkpoint: dict, path: str) -> None:
    """Load a checkpoint into a detector, all of it.

    Args:
        detector: The model.
        checkpoint: A state dict, or a dict that has one as ``state_dict``.
        path: Where it was read from, for the message.

    Raises:
        UserError: If a parameter differs or is missing.
    """
    refuse_official_names(checkpoint, path)
    state = checkpoint.get('state_dict', checkpoint)
    state = {name.removeprefix('module.'): value for name, value in state.items()}
    fit = compare_states(detector.state_dict(), state)
    if fit.phrases:
        raise UserError(f'{path} does not fit the config; {fit}: {fit.advice}')
    detector.load_state_dict(state, strict=False)


def class_names(checkpoint: dict, cfg: Config, num_classes: int) -> tuple[str, ...]:
    """The names of the classes in the order of the labels, of the checkpoint or, where it has none, of the config.

    Args:
        checkpoint: As the Runner of mmengine saves it, or of mmdet 2.
        cfg: The config of a test.
        num_classes: Of the model.

    Raises:
        UserError: If neither names as many.
    """
    meta = checkpoint.get('meta') or {}
    owners = [meta.get('dataset_meta') or {}, meta]
    for _, dataset in walk_datasets(cfg.get('test_dataloader'), 'test_dataloader'):
        owners += [dataset.get('metainfo') or {}, getattr(DATASETS.get(dataset['type']), 'METAINFO', {})]
    for owner in owners:
        names = owner.get('classes') or owner.get('CLASSES') or ()
        names = (names,) if isinstance(names, str) else tuple(names)
        if len(names) == num_classes:
            return names
    raise UserError(
        f'neither the checkpoint nor the config has names for {num_classes} classes: '
        'set test_dataloader.dataset.metainfo.classes'
    )
