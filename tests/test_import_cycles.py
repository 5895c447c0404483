"""Whichever module of the package is imported first: what an import hook imports does not wait for itself."""

import ast
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
HOOKS = 'sparse_rcnn_ext.import_hooks'
COMES_WITH = {
    'mmengine.fileio': ('mmengine', 'mmcv', 'mmdet'),
    'mmengine.runner': ('mmengine.runner', 'mmdet'),
    'torch': ('torch', 'torchvision', 'timm', 'mmengine', 'mmcv', 'mmdet'),
}
"""Whose import is that of a hooked package, too."""


def name_of(path: Path) -> str:
    return '.'.join(path.relative_to(REPO).with_suffix('').parts).removesuffix('.__init__')


PATHS = {name_of(path): path for folder in ('sparse_rcnn_ext', 'tools') for path in (REPO / folder).rglob('*.py')}
TREES = {name: ast.parse(path.read_text()) for name, path in PATHS.items()}


def imported(statements: list[ast.stmt], module: str) -> set[str]:
    """The modules that some statements of a module import, with what may be modules in them."""
    names = set()
    for node in statements:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = [node.module] if node.module else []
            if node.level:
                up = node.level - (PATHS[module].name == '__init__.py')
                base = module.split('.')[: len(module.split('.')) - up] + base
            names |= {'.'.join([*base, *more]) for more in ([], *([alias.name] for alias in node.names))}
    return names


def closure(module: str) -> set[str]:
    """The module and all of ours that it imports, and those import, at their top level."""
    found, new = set(), {module}
    while new:
        found |= new
        new = {name for one in new for name in imported(TREES[one].body, one) if name in TREES} - found
    return found


def hooked() -> dict[str, str]:
    """What is imported after, or in place of, a package: by the package's name."""
    functions = {node.name: node for node in ast.walk(TREES[HOOKS]) if isinstance(node, ast.FunctionDef)}
    pairs = {
        key.value: value.id
        for node in ast.walk(functions['install_import_hooks'])
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values)
    }
    targets = {name: imported(functions[function].body, HOOKS) & TREES.keys() for name, function in pairs.items()}
    return {name: module for name, modules in targets.items() for module in modules}


def waiting_for_themselves(package: str, target: str) -> set[str]:
    """Modules that, imported first, import a package whose hook needs them before they are complete."""
    names = COMES_WITH[package]
    importers = {name for name, tree in TREES.items() if target in imported(tree.body, name)}
    return {
        module
        for module in closure(target)
        if any(f'{name}.'.startswith(f'{one}.') for name in imported(TREES[module].body, module) for one in names)
        # Nobody but the hook, which comes after the package.
        and (module != target or importers)
    }


def test_hooks_are_found():
    assert hooked() == {
        'mmengine.fileio': 'sparse_rcnn_ext.engine.trust',
        'mmengine.runner': 'sparse_rcnn_ext.engine.safe_loading',
        'torch': 'sparse_rcnn_ext.engine.safe_globals',
    }


@pytest.mark.parametrize(('package', 'target'), hooked().items())
def test_no_module_waits_for_itself(package, target):
    assert waiting_for_themselves(package, target) == set()


def test_the_check_itself(monkeypatch):
    trust = 'sparse_rcnn_ext.engine.trust'
    tree = ast.parse('from mmengine.fileio import PickleHandler\n' + PATHS[trust].read_text())
    monkeypatch.setitem(TREES, trust, tree)
    assert waiting_for_themselves('mmengine.fileio', trust) == {trust}
