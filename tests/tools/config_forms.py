"""One config in every form that mmengine reads."""

import copy
from collections.abc import Callable
from pathlib import Path

import mmdet
from mmengine.config import Config

from sparse_rcnn_ext.engine.config.config_parts import SECTIONS, find_parts

FORMS = ('scoped', 'paths', 'no scope', 'pure', 'joined', 'several', 'list')
Rename = Callable[[str, type], str]


class _Name(str):
    """What stands in a config of pure Python without quotes."""

    def __repr__(self) -> str:
        return str(self)


def write_forms(plain: Path, folder: Path) -> dict[str, Path]:
    """A config of registered names, and the same in other forms, by name.

    Args:
        plain: Its file.
        folder: For the others.

    Returns:
        Beside ``plain``: ``scoped`` (mmdet.X), ``paths`` (of classes), ``no scope`` (None, and names without one),
        ``pure`` (Python, which reads its base) and ``mmdet`` (with a base of its package). In three val and test
        differ: ``joined`` takes the data set from two parts, ``list`` evaluates twice, and ``several`` has the whole
        data set two times, each with a metric.
    """
    cfg = Config.fromfile(plain)
    forms = {'scoped': Config(_rename_all(cfg, _scoped)), 'paths': Config(_rename_all(cfg, _full_path))}
    forms['no scope'] = Config(cfg.to_dict() | dict(default_scope=None))
    forms |= {name: copy.deepcopy(cfg) for name in ('joined', 'several', 'list')}
    for phase in ('val', 'test'):
        dataset, metric = cfg[f'{phase}_dataloader'].dataset, cfg[f'{phase}_evaluator']
        parts = [dict(dataset, indices=[0, 1]), dict(dataset, indices=[2])]
        # The wrapper around one part makes no difference.
        parts[1] = dict(type='RepeatDataset', times=1, dataset=parts[1])
        forms['joined'][f'{phase}_dataloader'].dataset = dict(type='ConcatDataset', datasets=parts)
        forms['several'][f'{phase}_dataloader'].dataset = dict(type='ConcatDataset', datasets=[dataset, dataset])
        forms['several'][f'{phase}_evaluator'] = dict(
            type='MultiDatasetsEvaluator', dataset_prefixes=['one', 'two'], metrics=[metric, metric]
        )
        forms['list'][f'{phase}_evaluator'] = [dict(type='VOCMetric'), metric]
    paths = dict(plain=plain, pure=_write_pure(cfg, folder / 'pure'))
    for name, form in forms.items():
        paths[name] = folder / name / plain.name
        paths[name].parent.mkdir()
        form.dump(paths[name])
    if (Path(mmdet.__file__).parent / '.mim').is_dir():
        paths['mmdet'] = folder / plain.name
        paths['mmdet'].write_text(f"_base_ = 'mmdet::_base_/default_runtime.py'\n{plain.read_text()}")
    return paths


def _write_pure(cfg: Config, folder: Path) -> Path:
    imports: dict[str, str] = {}

    def rename(name: str, part: type) -> str:
        own = f'{part.__module__}_{part.__name__}'.replace('.', '_')
        imports[own] = f'from {part.__module__} import {part.__name__} as {own}'
        return _Name(own)

    settings = _rename_all(cfg, rename) | dict(default_scope=None)
    del settings['custom_imports']
    settings = {key: value for key, value in settings.items() if not key.startswith('_')}
    lines = [f'{key} = {value!r}' for key, value in settings.items()]
    folder.mkdir()
    (folder / 'base.py').write_text('\n'.join([*imports.values(), 'long_side = 96', *lines, '']))
    child = folder / 'pure.py'
    reads = ['from mmengine.config import read_base', 'with read_base():', '    from .base import *']
    child.write_text('\n'.join([*reads, 'model.update(dict(test_cfg=dict(max_per_img=30)))', '']))
    return child


def _rename_all(cfg: Config, rename: Rename) -> dict:
    settings = cfg.to_dict()
    return {key: _rename(value, key, rename) if key in SECTIONS else value for key, value in settings.items()}


def _rename(node: object, section: str, rename: Rename) -> object:
    """A copy of a part of a config in which ``rename`` has given each type of a class another form."""
    if isinstance(node, (list, tuple)):
        return type(node)(_rename(child, section, rename) for child in node)
    if not isinstance(node, dict):
        return node
    renamed = {key: _rename(child, section, rename) for key, child in node.items()}
    if isinstance(node.get('type'), str):
        part = find_parts(node['type'], 'mmdet', section)[0]
        renamed['type'] = rename(node['type'], part) if isinstance(part, type) else node['type']
    return renamed


def _scoped(name: str, part: type) -> str:
    return f'mmdet.{name}' if part.__module__.startswith('mmdet.') else name


def _full_path(name: str, part: type) -> str:
    return f'{part.__module__}.{part.__qualname__}'
