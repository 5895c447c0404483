"""The files and folders that a config, a tool or the environment names: checked before anything slow starts."""

import os
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config

from sparse_rcnn_ext.errors import UserError

from .config_parts import walk_evaluators


def check_data_paths(cfg: Config, phases: tuple[str, ...]) -> None:
    """See that annotation files and image folders exist.

    Paths on a remote storage (a ``backend_args``, or ``://`` in the path) are left to their backend.

    Args:
        cfg: The config of the run.
        phases: Some of ``'train'``, ``'val'``, ``'test'``; each is checked where the config defines it.

    Raises:
        UserError: Names the missing path and the setting to change.
    """
    for phase in phases:
        for setting, dataset in walk_datasets(cfg.get(f'{phase}_dataloader'), f'{phase}_dataloader'):
            _check_dataset(setting, dataset)
        for setting, evaluator in walk_evaluators(cfg.get(f'{phase}_evaluator'), f'{phase}_evaluator'):
            _check_annotations(f'{setting}.ann_file', evaluator, '')


def walk_datasets(node: dict | None, setting: str) -> Iterator[tuple[str, dict]]:
    """Every innermost dataset of a dataloader config, with the dotted name of its place."""
    if node is None:
        return
    if 'dataset' in node:
        yield from walk_datasets(node['dataset'], f'{setting}.dataset')
    elif 'datasets' in node:
        for number, child in enumerate(node['datasets']):
            yield from walk_datasets(child, f'{setting}.datasets.{number}')
    else:
        yield setting, node


def _check_dataset(setting: str, dataset: dict) -> None:
    root = dataset.get('data_root') or ''
    _check_annotations(f'{setting}.ann_file', dataset, root)
    for key, prefix in (dataset.get('data_prefix') or {}).items():
        if _is_local(dataset, root, prefix):
            folder = Path(root, prefix)
            if not (folder.is_dir() and any(folder.iterdir())):
                raise UserError(_sentence('image folder', folder, f'{setting}.data_prefix.{key}', root))


def _check_annotations(setting: str, owner: dict, root: str) -> None:
    ann_file = owner.get('ann_file')
    if ann_file and _is_local(owner, root, ann_file) and not Path(root, ann_file).is_file():
        raise UserError(_sentence('annotation file', Path(root, ann_file), setting, root))


def _is_local(owner: dict, root: str, path: str) -> bool:
    return not owner.get('backend_args') and '://' not in root and '://' not in path


def _sentence(what: str, path: Path, setting: str, root: str) -> str:
    state = 'is empty' if path.is_dir() else 'does not exist'
    # A relative path says nothing without the folder from which it was looked for.
    where = '' if path.is_absolute() else f' below the current folder {Path.cwd()}'
    owner = setting.partition('.ann_file')[0].partition('.data_prefix')[0]
    root_setting = f'{owner}.data_root or ' if root else ''
    return f'the {what} {path} {state}{where}: set {root_setting}{setting} to where it is'


def make_folder(path: Path, setting: str) -> None:
    """Make a folder, and those above it, where they are missing.

    Args:
        path: The folder.
        setting: What named it, for the message.

    Raises:
        UserError: If it cannot be made, or not be written into.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f'cannot make the folder {path} ({error.strerror}): name another one as {setting}') from error
    if not os.access(path, os.W_OK):
        raise UserError(f'cannot write into the folder {path}: name another one as {setting}')


FONT = 'SPARSE_RCNN_FONT'
"""The environment variable: pictures are drawn at the end of many tools, and their font is of the machine."""
# How TrueType, OpenType and collections of them begin.
_BEGINNINGS = (b'\x00\x01\x00\x00', b'OTTO', b'true', b'ttcf')


def font_file() -> str | None:
    """The path in ``SPARSE_RCNN_FONT``; None where it is not set, or empty.

    Raises:
        UserError: If there is no such file, or it is no font.
    """
    path = os.environ.get(FONT)
    if not path:
        return None
    try:
        with Path(path).open('rb') as file:
            begins = file.read(4)
    except OSError as error:
        reason = f'cannot be read ({error.strerror})'
    else:
        if begins in _BEGINNINGS:
            return path
        reason = 'is no font'
    raise UserError(f'{FONT} is {path}, which {reason}: set it to a .ttf, .otf or .ttc file, or unset it')
