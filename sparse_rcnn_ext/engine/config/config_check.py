"""Find types that do not exist, and settings that their classes do not take, before anything is built.

mmengine finds an unknown type when it comes to it, which for a test evaluator is after hours of training, and a
setting that nobody reads never. Where it cannot be known what is taken, nothing is said.
"""

import inspect
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from typing import NamedTuple

from mmdet.datasets.transforms import Albu
from mmengine.config import Config
from torch.utils.data import DataLoader

from sparse_rcnn_ext.errors import UserError

from .accepted_settings import accepted_arguments
from .config_parts import DEFAULT_SCOPE, SECTIONS, find_parts, is_part, names_for, part_name, scope_of, suggest

# Below these stand names of functions and operators, of other packages, or any names at all.
_FREE = {
    'roi_layer',
    'nms',
    'nms_cfg',
    'clip_grad',
    'metainfo',
    'paramwise_cfg',
    'init_kwargs',
    'custom_cfg',
    'backend_args',
    'file_client_args',
    'on_trace_ready',
    'schedule',
    'bbox_params',
    'define_metric_cfg',
}
# Functions build these, and take some settings out before the class sees them.
_TAKEN_OUT = {
    'norm_cfg': {'requires_grad'},
    'dcn': {'fallback_on_stride', 'deformable_groups'},
    'upsample_cfg': {'scale_factor'},
    'loss_cls': {'bg_cls_weight', 'class_weight'},
    'optim_wrapper': {'constructor', 'paramwise_cfg'},
    'param_scheduler': {'convert_to_iter_based', 'epoch_length'},
    'train_cfg': {'by_epoch'},
    'default_hooks': {'priority'},
    'custom_hooks': {'priority'},
}
# Settings of a data loader that torch takes with worker processes only, and what they are without.
_WITHOUT_WORKERS = {'persistent_workers': False, 'prefetch_factor': None, 'timeout': 0}
_NEARLY = 0.9
# The others may be lists too.
_ONE_DICT = ('model', '_dataloader', '_cfg', '_wrapper', 'default_hooks', 'visualizer', 'log_processor')
_OF_MMENGINE = {'type', '_scope_', '_delete_'}
# The type that the Runner puts in where there is none.
_DEFAULT_TYPES = {
    'optim_wrapper': 'OptimWrapper',
    'val_cfg': 'ValLoop',
    'test_cfg': 'TestLoop',
    'log_processor': 'LogProcessor',
}
# Dicts that have no class, and what reads them: Runner.setup_env, set_random_seed, scale_lr.
_WITHOUT_CLASS = {
    'env_cfg': {'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'},
    'env_cfg.mp_cfg': {'mp_start_method', 'opencv_num_threads'},
    'randomness': {'seed', 'deterministic', 'diff_rank_seed'},
    'auto_scale_lr': {'enable', 'base_batch_size'},
    'custom_imports': {'imports', 'allow_failed_imports'},
}


class _Node(NamedTuple):
    path: str
    settings: dict
    scope: str


def check_config(cfg: Config, path: str) -> None:
    """See that every type exists and takes its settings.

    Args:
        cfg: The config, ``--cfg-options`` merged in.
        path: Its file, for the sentence.

    Raises:
        UserError: Names the setting by its dotted path, and the nearest one that there is.
    """
    plain = cfg.to_dict()
    for setting, known in _WITHOUT_CLASS.items():
        node = plain
        for step in setting.split('.'):
            node = (node.get(step) if isinstance(node, dict) else None) or {}
        if isinstance(node, dict):
            _check_keys(node, known | _OF_MMENGINE, setting, 'mmengine', path)
    scope = scope_of(cfg)
    hooks = plain.get('default_hooks')
    for name, hook in hooks.items() if isinstance(hooks, dict) else ():
        if isinstance(hook, dict) and 'type' not in hook:
            others = [other for other, value in hooks.items() if isinstance(value, dict) and 'type' in value]
            raise UserError(f'default_hooks.{name} in {path} has no type: {suggest(name, others)}')
    for section in SECTIONS:
        value = plain.get(section)
        kinds = (dict,) if section.endswith(_ONE_DICT) else (dict, list, tuple)
        _check_kind(value, (*kinds, type(None)), section, 'a dict of settings', path)
        if section.endswith('_dataloader'):
            _check_data(value or {}, section, path)
        if section.endswith('_evaluator'):
            _check_evaluators(value or (), section, path)
        for node in _walk(plain.get(section), section, scope):
            _check_node(node, section, path)


def _check_data(loader: dict, setting: str, path: str) -> None:
    """What is looked at for missing files before a part is built."""
    _check_kind(loader.get('dataset', {}), dict, f'{setting}.dataset', 'a dict of settings', path)
    for name in ('sampler', 'batch_sampler'):
        # An object of the user's own, or a config; torch would take a text for a list of places.
        if isinstance(value := loader.get(name), (str, int, float, list, tuple)):
            _check_kind(value, dict, f'{setting}.{name}', 'a dict of settings', path)
    workers = loader.get('num_workers', 0)
    if type(workers) is not int or workers < 0:
        raise UserError(f'{setting}.num_workers in {path} is {workers!r}: set it to a number of processes, 0 or more')
    for name, without in _WITHOUT_WORKERS.items():
        if loader.get(name) and not workers:
            raise UserError(
                f'{setting}.{name} in {path} is {loader[name]!r}, which needs workers: '
                f'set it to {without}, or {setting}.num_workers to at least 1'
            )
    for node in _walk(loader.get('dataset', {}), f'{setting}.dataset', ''):
        for key in ('data_root', 'ann_file'):
            _check_kind(node.settings.get(key), (str, type(None)), f'{node.path}.{key}', 'a path', path)
        prefix = node.settings.get('data_prefix') or {}
        _check_kind(prefix, dict, f'{node.path}.data_prefix', 'a dict of folders', path)
        for key, folder in prefix.items():
            _check_kind(folder, str, f'{node.path}.data_prefix.{key}', 'a folder', path)
        datasets = node.settings.get('datasets', ())
        _check_kind(datasets, (list, tuple), f'{node.path}.datasets', 'a list of data sets', path)
        for one in (*datasets, node.settings.get('dataset', {})):
            _check_kind(one, dict, f'{node.path}.dataset', 'a dict of settings', path)


def _check_evaluators(node: object, setting: str, path: str) -> None:
    if isinstance(node, (list, tuple)):
        for one in node:
            _check_evaluators(one, setting, path)
        return
    _check_kind(node, dict, setting, 'a dict of settings', path)
    if 'metrics' in node:
        _check_evaluators(node['metrics'], f'{setting}.metrics', path)
    _check_kind(node.get('ann_file'), (str, type(None)), f'{setting}.ann_file', 'a path', path)


def _check_kind(value: object, kinds: type | tuple[type, ...], setting: str, wanted: str, path: str) -> None:
    if not isinstance(value, kinds):
        raise UserError(f'{setting} in {path} is {value!r}: set it to {wanted}')


def _walk(node: object, path: str, scope: str) -> Iterator[_Node]:
    if isinstance(node, dict):
        scope = node.get('_scope_') or scope
        yield _Node(path, node, scope)
        # albumentations has names of its own.
        is_free = 'transforms' in node and is_part(node, Albu, 'train_dataloader', scope or DEFAULT_SCOPE)
        free = _FREE | {'transforms'} if is_free else _FREE
        for key, value in node.items():
            if key not in free:
                yield from _walk(value, f'{path}.{key}', scope)
    elif isinstance(node, (list, tuple)):
        for number, value in enumerate(node):
            yield from _walk(value, f'{path}.{number}', scope)


def _check_node(node: _Node, section: str, path: str) -> None:
    if node.path.endswith('_dataloader'):
        _check_keys(node.settings, _loader_settings(), node.path, 'a data loader', path)
        return
    name = node.settings.get('type', _DEFAULT_TYPES.get(node.path))
    if name is None and node.path == 'train_cfg':
        by_epoch = node.settings.get('by_epoch', True)
        name = 'EpochBasedTrainLoop' if by_epoch else 'IterBasedTrainLoop'
    # Several optimizers have names of their own.
    if ('type' not in node.settings and name is None) or (
        node.path == 'optim_wrapper' and 'optimizer' not in node.settings
    ):
        return
    if not isinstance(name, str) and not callable(name):
        raise UserError(f'{node.path}.type in {path} is {name!r}: set it to the name of a class')
    parts = find_parts(name, node.scope, section) if isinstance(name, str) else (name,)
    name = part_name(dict(type=name))
    if not parts and section == 'model' and node.path.count('.') > 1 and name.islower():
        return  # 'nms', 'conv': a function, or a choice of the part around it
    if not parts:
        known = names_for(node.scope, section)
        raise UserError(f'{node.path}.type in {path} is {name}, which does not exist: {_suggest_type(name, known)}')
    taken = [accepted_arguments(part) for part in parts]
    steps = node.path.split('.')
    popped = _TAKEN_OUT.get(steps[0], set()) | _TAKEN_OUT.get(steps[-1], set())
    known = set().union(popped, _OF_MMENGINE, *(one.names for one in taken))
    if any(one.others for one in taken):
        # Any may be meant then, but for one that is nearly an argument of the part itself.
        known |= {key for key in node.settings if not get_close_matches(str(key), known, n=1, cutoff=_NEARLY)}
    _check_keys(node.settings, known, node.path, name, path)


def _suggest_type(name: str, known: tuple[str, ...]) -> str:
    """Names without their scope are compared too: a forgotten scope is what is wrong most."""
    bare = [one for one in known if one.rpartition('.')[2] == name.rpartition('.')[2]]
    if bare:
        return f'did you mean {bare[0]}?'
    found = suggest(name, known)
    return found if found.startswith('did') else 'give the name of a registered class, or import its module'


def _check_keys(settings: dict, known: set[str], setting: str, owner: str, path: str) -> None:
    for key in settings:
        if key not in known:
            raise UserError(
                f'{setting}.{key} in {path} is nothing that {owner} takes: {suggest(str(key), known - _OF_MMENGINE)}'
            )


@cache
def _loader_settings() -> frozenset[str]:
    of_runner = {'dataset', 'num_batch_per_epoch', 'disable_subprocess_warning', *_OF_MMENGINE}
    return frozenset(of_runner | inspect.signature(DataLoader).parameters.keys())
