"""A row's change over another recipe."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mmengine.config import Config

from sparse_rcnn_ext.ablation import base_of, load_base, put_over
from sparse_rcnn_ext.errors import UserError

ROWS = sorted((Path(__file__).resolve().parents[2] / 'configs/sparse_rcnn/ablations').glob('*.py'))


def leaves(node: dict, path: tuple = ()) -> Iterator[tuple[tuple, object]]:
    """Every plain value of nested dicts, with the keys that lead to it."""
    for key, value in node.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        elif key != '_delete_':
            yield (*path, key), value


@pytest.fixture(
    scope='module', params=['sparse-rcnn_lite0_fpn_shapes', 'sparse-rcnn_r50_fpn_128-proposals_640-3x_coco']
)
def base(request, repo_dir, tmp_path_factory) -> Path:
    """A recipe as ablate.py hands it to the rows: evaluated, in a folder with a quote in its name."""
    cfg = load_base(repo_dir / f'configs/sparse_rcnn/{request.param}.py', None, 5)
    path = tmp_path_factory.mktemp('base') / "it's" / 'recipe.py'
    path.parent.mkdir()
    cfg.dump(path)
    return path


@pytest.mark.parametrize('row', ROWS, ids=lambda path: path.stem)
def test_every_row_over_other_recipes(base: Path, row: Path):
    """What the row says is so, and what it does not mention is the recipe's."""
    recipe, cfg = Config.fromfile(base).to_dict(), put_over(row, base).to_dict()
    text = row.read_text()
    start = text.index('_base_')
    namespace: dict = {}
    exec(text[:start] + text[text.index('\n', start) :], namespace)
    delta = {name: value for name, value in namespace.items() if isinstance(value, dict) and name[0] != '_'}
    found = dict(leaves(cfg))
    for path, value in leaves(delta):
        assert found[path] == value
    said = {path[: depth + 1] for path, _ in leaves(delta) for depth in range(len(path))}
    replaced = ('model', 'roi_head', 'bbox_head', 'dynamic_conv_cfg'), ('model', 'criterion')
    for path, value in leaves(recipe):
        if path not in said and not any(path[: len(start)] == start for start in replaced):
            assert found[path] == value, path
    assert cfg['train_cfg']['max_epochs'] == 5


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / 'recipe.py'
    path.write_text("lr = 0.1\nmodel = dict(type='SparseRCNN', neck=dict(type='FPN', num_outs=3), init_cfg=None)\n")
    return path


@pytest.mark.parametrize(
    'text',
    [
        "_base_ = 'own.py'\nmodel = dict(neck=dict(_delete_=True, type='PAFPN'))\n",
        "# ümlaut\n_base_ = (\n    'own'\n    '.py'\n)  # why\n\nmodel = dict(neck=dict(_delete_=True, type='PAFPN'))",
    ],
)
def test_delta_replaces_the_base(tmp_path: Path, recipe: Path, text: str):
    row = tmp_path / 'rows' / 'row.py'
    row.parent.mkdir()
    (row.parent / 'own.py').write_text("lr = 0.5\nmodel = dict(type='Other')\n")
    row.write_text(text, encoding='utf-8')
    assert base_of(row) == row.parent / 'own.py'
    cfg = put_over(row, recipe)
    model = dict(type='SparseRCNN', neck=dict(type='PAFPN'), init_cfg=None)
    assert cfg.to_dict() == dict(lr=0.1, model=model, default_scope='mmdet')
    assert cfg.filename == str(row)
    assert row.read_text(encoding='utf-8') == text


@pytest.mark.parametrize('text', ['model = dict()\n', "_base_ = ['recipe.py']\n", "_base_ = 'recipe' + '.py'\n"])
def test_row_without_a_base(tmp_path: Path, recipe: Path, text: str):
    row = tmp_path / 'row.py'
    row.write_text(text)
    with pytest.raises(UserError, match=r'row\.py has no single _base_'):
        put_over(row, recipe)


def test_missing_base(tmp_path: Path):
    row = tmp_path / 'row.py'
    row.write_text("_base_ = 'gone.py'\n")
    with pytest.raises(UserError, match=r'row\.py has the _base_ gone\.py, which does not exist'):
        base_of(row)


def test_row_that_does_not_fit(tmp_path: Path, recipe: Path):
    row = tmp_path / 'row.py'
    row.write_text("_base_ = 'recipe.py'\nmodel = dict(depth=dict(deeper=3))\n")
    with pytest.raises(UserError, match=r'row\.py cannot be put over .*recipe\.py: '):
        put_over(row, recipe)
