"""Weights that a model starts from: say clearly what is missing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

from mmengine.config import Config
from mmengine.model import PretrainedInit

from sparse_rcnn_ext.engine.config.config_parts import is_part
from sparse_rcnn_ext.errors import UserError


def pretrained_settings(node: object, setting: str = 'model') -> Iterator[tuple[str, str]]:
    """Every pretrained checkpoint that a model config names.

    Args:
        node: The model config, or a part of it.
        setting: The dotted name of ``node``.

    Yields:
        The dotted name of an ``init_cfg``, and its checkpoint (a path or an address).
    """
    if isinstance(node, dict):
        if node.get('checkpoint') and is_part(node, PretrainedInit, 'model'):
            yield setting, node['checkpoint']
        for key, child in node.items():
            yield from pretrained_settings(child, f'{setting}.{key}')
    elif isinstance(node, (list, tuple)):
        for number, child in enumerate(node):
            yield from pretrained_settings(child, f'{setting}.{number}')


def check_pretrained(cfg: Config) -> None:
    """Raise UserError where ``cfg.model`` names a local pretrained file that does not exist."""
    for setting, path in pretrained_settings(cfg.model):
        if '://' not in path and not Path(path).is_file():
            raise UserError(_sentence(f'there is no file {path}', setting))


@contextmanager
def explain_failed_download(cfg: Config) -> Iterator[None]:
    """Turn a failed download of weights inside the block into a UserError that names the setting."""
    try:
        yield
    except URLError as error:
        remote = [(setting, path) for setting, path in pretrained_settings(cfg.model) if '://' in path]
        load_from = cfg.get('load_from') or ''
        if '://' in load_from:
            remote.append(('load_from', load_from))
        if not remote:
            raise
        names = ' or '.join(path for _, path in remote)
        raise UserError(_sentence(f'cannot download {names} ({error})', remote[0][0])) from error


def _sentence(problem: str, setting: str) -> str:
    if setting == 'load_from':
        return f'{problem}: set load_from to a local file, or to None to start without it'
    return (
        f'{problem}: set {setting}.checkpoint to a local copy of the weights, '
        f'or {setting}=None to start from random ones'
    )
