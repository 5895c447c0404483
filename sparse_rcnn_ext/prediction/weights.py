"""Checkpoints for prediction: read without running code from them, and refused where they do not fit."""

from urllib.error import URLError

from mmengine.config import Config
from torch import nn

from sparse_rcnn_ext.engine.checkpoint_file import read_checkpoint
from sparse_rcnn_ext.engine.config_parts import part_class, scope_of
from sparse_rcnn_ext.engine.data_paths import walk_datasets
from sparse_rcnn_ext.engine.errors import UserError
from sparse_rcnn_ext.engine.state_fit import compare_states, refuse_official_names


def read_weights(source: str) -> dict:
    """Read a checkpoint on the CPU, see :func:`~sparse_rcnn_ext.engine.checkpoint_file.read_checkpoint`.

    Raises:
        UserError: If it cannot be had, is no checkpoint, or could run code.
    """
    try:
        return read_checkpoint(source)
    except URLError as error:
        raise UserError(f'cannot download {source} ({error}): give a local copy of it') from error


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
        kind = part_class(dataset, 'test_dataloader', scope_of(cfg))
        owners += [dataset.get('metainfo') or {}, getattr(kind, 'METAINFO', {})]
    for owner in owners:
        names = owner.get('classes') or owner.get('CLASSES') or ()
        names = (names,) if isinstance(names, str) else tuple(names)
        if len(names) == num_classes:
            return names
    raise UserError(
        f'neither the checkpoint nor the config has names for {num_classes} classes: '
        'set test_dataloader.dataset.metainfo.classes'
    )
