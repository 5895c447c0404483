"""The Python of docs/training.md, own-data.md and architecture.md, its tables, and its picture."""

import ast
import importlib.util
import re
from functools import reduce
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import HOOKS

from sparse_rcnn_ext.registry import MODELS, TASK_UTILS

RECIPE = 'sparse-rcnn_r50_fpn_1x_coco.py'


def page(repo: Path, name: str) -> str:
    return (repo / 'docs' / name).read_text(encoding='utf-8')


def python_blocks(text: str) -> list[str]:
    return re.findall(r'```python\n(.*?)```', text, re.DOTALL)


def load_child(repo: Path, folder: Path, text: str) -> Config:
    """A config of the page, whose base is the recipe of the repository."""
    assert f"'./{RECIPE}'" in text
    config = folder / 'child.py'
    config.write_text(text.replace(f'./{RECIPE}', str(repo / 'configs/sparse_rcnn' / RECIPE)))
    return Config.fromfile(config)


def test_averaged_weights_and_batch_norm(repo_dir, tmp_path):
    (text,) = python_blocks(page(repo_dir, 'training.md'))
    cfg = load_child(repo_dir, tmp_path, text)
    assert type(HOOKS.build(cfg.default_hooks.ema)).__name__ == 'EMAHook'
    assert cfg.sync_bn == 'torch'
    cfg.model.backbone.update(depth=18, init_cfg=None)
    cfg.model.neck.in_channels = [64, 128, 256, 512]
    backbone = MODELS.build(cfg.model).train().backbone
    free = [module for module in backbone.layer4.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert free and all(module.training and module.weight.requires_grad for module in free)


def test_messages_are_those_of_the_code(repo_dir):
    """All that stands between the dots is written in one file of the package, in its texts and nowhere else."""
    text = page(repo_dir, 'training.md')
    table = text.partition('| message | reason and remedy |')[2].partition('\n\n')[0]
    messages = re.findall(r'^\| `(.+?)` \|', table, re.MULTILINE)
    assert len(messages) == 6
    files = []
    for path in (repo_dir / 'sparse_rcnn_ext').rglob('*.py'):
        constants = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
        files.append([text for text in constants if isinstance(text, str)])
    for message in messages:
        parts = [part.strip() for part in message.split('…') if part.strip()]
        assert any(all(any(part in text for text in texts) for part in parts) for texts in files), message


def test_own_proposal_boxes(repo_dir, tmp_path, monkeypatch):
    """The example of a part of one's own, as a module beside the config."""
    part, child = python_blocks(page(repo_dir, 'architecture.md'))[:2]
    (tmp_path / 'my_boxes.py').write_text(part)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        cfg = load_child(repo_dir, tmp_path, child)
        head = MODELS.build(cfg.model.rpn_head)
        head.init_weights()
        boxes, _ = head(torch.tensor([[200.0, 100.0, 200.0, 100.0]]))
        assert boxes.shape == (1, 100, 4)
        assert torch.allclose(boxes[0, 7], torch.tensor([0.0, 0.0, 200.0, 50.0]))
    finally:
        MODELS.module_dict.pop('UpperBoxes', None)


def test_every_file_of_the_models_is_explained(repo_dir):
    text = page(repo_dir, 'architecture.md')
    files = {path.name for path in (repo_dir / 'sparse_rcnn_ext/models').glob('*.py')} - {'__init__.py'}
    assert {name for name in files if f'(../sparse_rcnn_ext/models/{name})' not in text} == set()


def test_table_of_settings(repo_dir):
    """Settings exist in the recipe, or are arguments of the part; what is named there has that name."""
    cfg = Config.fromfile(repo_dir / 'configs/sparse_rcnn' / RECIPE)
    table = page(repo_dir, 'architecture.md').partition('| question |')[2].partition('\n\n')[0]
    rows = [[cell.strip() for cell in row.split('|')[1:-1]] for row in table.splitlines()[2:]]
    assert len(rows) == 10
    for _, settings, default, examples in rows:
        for setting in re.findall('`(.+?)`', settings):
            parent, _, key = f'model.{setting}'.rpartition('.')
            owner = reduce(getattr, parent.split('.'), cfg)
            assert key in owner or key in MODELS.get(owner.type).__init__.__annotations__, setting
        for name in re.findall('`(.+?)`', f'{default} {examples}'):
            scopes = ('sparse_rcnn_ext', 'mmdet')
            assert any(kind.get(f'{scope}.{name}') for kind in (MODELS, TASK_UTILS) for scope in scopes), name


@pytest.mark.parametrize('name', ['training.md', 'own-data.md', 'architecture.md'])
def test_links_lead_somewhere(repo_dir, name):
    targets = re.findall(r'\]\(([^)#]*)(?:#([^)]*))?\)', page(repo_dir, name))
    assert targets
    for target, anchor in targets:
        path = (repo_dir / 'docs' / target).resolve() if target else repo_dir / 'docs' / name
        assert path.exists(), target
        if anchor:
            titles = re.findall(r'^#+ (.+)$', path.read_text(encoding='utf-8'), re.MULTILINE)
            assert anchor in {re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-') for title in titles}, anchor


@pytest.mark.parametrize('script', ['draw_architecture', 'draw_rooms'])
def test_picture_is_the_one_of_the_script(script, repo_dir, tmp_path, monkeypatch):
    """Up to the rendering of another matplotlib or font."""
    spec = importlib.util.spec_from_file_location(script, repo_dir / f'docs/{script}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr('sys.argv', ['draw', str(tmp_path / 'it.png')])
    module.main()
    kept, drawn = (cv2.imread(str(path)).astype(int) for path in (module.TARGET, tmp_path / 'it.png'))
    assert kept.shape == drawn.shape
    assert np.abs(kept - drawn).mean() < 1
