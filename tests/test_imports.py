"""What imports what: rooms only the rooms below them, no two modules each other, no import hook what waits for it."""

import ast
from graphlib import TopologicalSorter
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
ROOMS = [
    'errors',
    'registry',
    'portable_ops',
    'engine/checkpoints',
    'import_hooks',
    'engine/config',
    'engine/training',
    'datasets',
    'datasets/transforms',
    'datasets/convert',
    'models',
    'models/backbones',
    'models/necks',
    'task_modules',
    'models/upgrades',
    'models/ablations',
    'evaluation',
    'visualization',
    'datasets/check',
    'engine/speed',
    'engine/hooks',
    'convert',
    'export/runtime',
    'prediction',
    'ablation',
    'report',
    'analysis/benchmark',
    'analysis',
    'export',
    'export/runtime_table',
    'demo',
]
"""Folders of the package, and files beside them, from the ground up: each imports only what stands before it."""


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


def imports_of(module: str) -> set[str]:
    """Modules of ours that a module imports anywhere, also within its functions; a package by its face alone."""
    found = {module}
    for node in ast.walk(TREES[module]):
        names = imported([node], module) & TREES.keys()
        # `from package import module` names both.
        found |= {name for name in names if not any(other.startswith(f'{name}.') for other in names)}
    return found - {module}


def room_of(module: str) -> str:
    path = PATHS[module].relative_to(REPO / 'sparse_rcnn_ext')
    return path.parent.as_posix() if len(path.parts) > 1 else path.stem


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
        'mmengine.fileio': 'sparse_rcnn_ext.engine.checkpoints.trust',
        'mmengine.runner': 'sparse_rcnn_ext.engine.checkpoints.safe_loading',
        'torch': 'sparse_rcnn_ext.engine.checkpoints.safe_globals',
    }


@pytest.mark.parametrize(('package', 'target'), hooked().items())
def test_no_module_waits_for_itself(package, target):
    assert waiting_for_themselves(package, target) == set()


def test_the_check_itself(monkeypatch):
    trust = 'sparse_rcnn_ext.engine.checkpoints.trust'
    tree = ast.parse('from mmengine.fileio import PickleHandler\n' + PATHS[trust].read_text())
    monkeypatch.setitem(TREES, trust, tree)
    assert waiting_for_themselves('mmengine.fileio', trust) == {trust}


OURS = sorted(name for name in TREES if name.startswith('sparse_rcnn_ext.'))


def upward(module: str) -> set[str]:
    """What a module imports from a room above its own. The face of a package may show its inner rooms."""
    height = ROOMS.index(room_of(module))
    inner = f'{module}.' if PATHS[module].name == '__init__.py' else 'no module begins so'
    above = {name for name in imports_of(module) if room_of(name) not in ROOMS[: height + 1]}
    return {name for name in above if not name.startswith(inner)}


def test_rooms_import_downward_only():
    assert {room_of(name) for name in OURS if PATHS[name].name != '__init__.py'} == set(ROOMS)
    assert {name: found for name in OURS if room_of(name) in ROOMS and (found := upward(name))} == {}


def test_the_package_imports_no_tool():
    assert {name for name in OURS if any(other.startswith('tools') for other in imports_of(name))} == set()


def test_no_two_modules_import_each_other():
    TopologicalSorter({name: imports_of(name) for name in TREES}).prepare()


def test_what_is_short_is_needed_by_several_rooms():
    """A file under 40 lines is the face of a package, or a concept that more than one room imports."""
    rooms_of = {name: set() for name in OURS if PATHS[name].name != '__init__.py' and lines_of(name) < 40}
    for name in OURS:
        for other in imports_of(name) & rooms_of.keys():
            rooms_of[other].add(room_of(name))
    assert {name: rooms for name, rooms in rooms_of.items() if len(rooms) < 2} == {}


def lines_of(name: str) -> int:
    return len(PATHS[name].read_text().splitlines())
