"""A tool imports the package before what of mmdet needs compiled operators: else it starts on one stack alone."""

import ast
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
HARMLESS = ('mmdet', 'mmdet.registry')


def imported(source: str) -> list[str]:
    """The modules that a file imports at its top level, in order."""
    modules = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules.append(node.module)
    return modules


def too_early(source: str) -> list[str]:
    modules = imported(source)
    own = [place for place, module in enumerate(modules) if module.split('.')[0] == 'sparse_rcnn_ext']
    before = modules[: own[0]] if own else modules
    return [module for module in before if module.split('.')[0] == 'mmdet' and module not in HARMLESS]


@pytest.mark.parametrize('tool', sorted(TOOLS.rglob('*.py')), ids=lambda path: path.relative_to(TOOLS).as_posix())
def test_of_a_tool(tool: Path):
    assert too_early(tool.read_text()) == []


def test_the_check_itself():
    assert too_early('from mmdet.datasets import X\nfrom sparse_rcnn_ext import models') == ['mmdet.datasets']
    assert too_early('import mmdet.apis') == ['mmdet.apis']
    assert too_early('import mmdet\nfrom mmdet.registry import Y\nimport sparse_rcnn_ext\nimport mmdet.apis') == []
