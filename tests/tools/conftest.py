"""A Sparse R-CNN that trains in seconds, and tools run as a user runs them."""

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from mmengine.config import Config

from tests.tools.ablate_examples import FakeTools, write_tables

TINY = {
    'model.backbone.depth': 18,
    'model.backbone.base_channels': 8,
    'model.backbone.stem_channels': 8,
    'model.backbone.init_cfg': None,
    'model.neck.in_channels': [8, 16, 32, 64],
    'model.neck.out_channels': 32,
    'model.rpn_head.num_proposals': 40,
    'model.rpn_head.proposal_feature_channel': 32,
    'model.roi_head.num_stages': 2,
    'model.roi_head.bbox_head.in_channels': 32,
    'model.roi_head.bbox_head.feedforward_channels': 64,
    'model.roi_head.bbox_head.num_heads': 4,
    'model.roi_head.bbox_head.dynamic_conv_cfg.feat_channels': 8,
    'train_dataloader.dataset.indices': 4,
    'train_dataloader.dataset.pipeline.2.scale': (160, 96),
    'train_cfg.max_epochs': 1,
    'default_hooks.logger.interval': 1,
    'default_hooks.report.enabled': False,
}

Run = Callable[..., subprocess.CompletedProcess]


@pytest.fixture(scope='session')
def tiny_config(tmp_path_factory, repo_dir, shared_dir) -> Path:
    """A config file, in a folder with a blank in its name, that trains on 4 images of COCO and tests on 3."""
    recipe = repo_dir / 'configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py'
    cfg = Config.fromfile(recipe)
    cfg.merge_from_dict(TINY)
    data = f'{shared_dir}/data/coco_mini/'
    for split in ('val', 'test'):
        cfg[f'{split}_dataloader'].dataset.update(indices=3)
        cfg[f'{split}_dataloader'].dataset.pipeline[1].scale = (160, 96)
        cfg[f'{split}_evaluator'].ann_file = f'{data}annotations/instances_val2017.json'
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].update(num_workers=0, persistent_workers=False)
        cfg[f'{split}_dataloader'].dataset.data_root = data
    config = tmp_path_factory.mktemp('tiny') / 'a folder' / 'tiny.py'
    config.parent.mkdir()
    cfg.dump(config)
    return config


@pytest.fixture(scope='session')
def tool_environment() -> dict[str, str]:
    """The environment of a tool: this interpreter, one thread a process, no GPU."""
    return os.environ | {'PYTHON': sys.executable, 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''}


@pytest.fixture(scope='session')
def run_tool(repo_dir, tool_environment) -> Run:
    """``run_tool(name, *arguments, cwd=…, **variables)`` runs tools/NAME in ``cwd``; stderr is part of stdout."""

    def run(name: str, *arguments: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess:
        tool = str(repo_dir / 'tools' / name)
        command = [sys.executable, tool] if name.endswith('.py') else [tool]
        return subprocess.run(
            [*command, *map(str, arguments)],
            cwd=cwd,
            env=tool_environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture
def ablate(repo_dir: Path, tmp_path: Path, monkeypatch) -> ModuleType:
    """The tool as a module, in a folder with a file of tables."""
    monkeypatch.syspath_prepend(repo_dir / 'tools')
    monkeypatch.chdir(tmp_path)
    write_tables(tmp_path)
    return importlib.import_module('ablate')


@pytest.fixture
def tools(ablate, monkeypatch) -> FakeTools:
    row_runs = importlib.import_module('row_runs')
    fake = FakeTools(row_runs)
    monkeypatch.setattr(row_runs, '_run', fake)
    return fake
