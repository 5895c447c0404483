"""A Sparse R-CNN that trains in seconds, and tools run as a user runs them."""

import importlib
import importlib.util
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
import torch
from mmdet.visualization import DetLocalVisualizer
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import init_default_scope

from tests.export.examples import build_detector
from tests.models.small_model import initialise
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
def run_tool(repo_dir, run_process, tool_environment) -> Run:
    """``run_tool(name, *arguments, cwd=…, **variables)`` runs tools/NAME in ``cwd``; stderr is part of stdout."""

    def run(name: str, *arguments: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess:
        command = [str(repo_dir / 'tools' / name), *map(str, arguments)]
        is_python = name.endswith('.py')
        if is_python and not variables:
            return subprocess.CompletedProcess(command, *run_process(command[0], command[1:], cwd))
        # What is imported has read its environment already, as torch has CXX: Python has to start anew.
        return subprocess.run(
            [sys.executable, *command] if is_python else command,
            cwd=cwd,
            env=tool_environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture(scope='session')
def run_here(repo_dir) -> Callable[..., None]:
    """``run_here(name, *arguments)`` runs tools/NAME in this process: a new one takes seconds to start."""

    @cache
    def load(name: str) -> ModuleType:
        path = repo_dir / 'tools' / name
        spec = importlib.util.spec_from_file_location(f'tool_{path.stem}', path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def run(name: str, *arguments: object) -> None:
        # mmengine would go on in the logs of the run before.
        for kind in (MMLogger, MessageHub, DetLocalVisualizer):
            kind._instance_dict.clear()
        load(name).main([str(argument) for argument in arguments])

    return run


@pytest.fixture(scope='session')
def random_detector(tiny_config, tmp_path_factory) -> tuple[Path, Path]:
    """The tiny config and a checkpoint of random weights whose scores lie on both sides of a half."""
    cfg = Config.fromfile(tiny_config)
    init_default_scope('mmdet')
    model = initialise(cfg)
    with torch.no_grad():
        for stage in model.roi_head.bbox_head:
            stage.fc_reg.weight.mul_(0.05)  # boxes stay where the image is
    path = tmp_path_factory.mktemp('detector') / 'random.pth'
    classes = cfg.test_dataloader.dataset.metainfo.classes
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=tuple(classes)))), path)
    return tiny_config, path


@pytest.fixture(scope='module')
def checkpoint(tiny_config, tmp_path_factory) -> Path:
    """Of the tiny config, as unlike its start as a trained one is, for export."""
    cfg = Config.fromfile(tiny_config)
    path = tmp_path_factory.mktemp('trained') / 'epoch_1.pth'
    meta = dict(dataset_meta=dict(classes=cfg.classes))
    torch.save(dict(state_dict=build_detector(cfg).state_dict(), meta=meta), path)
    return path


@pytest.fixture
def ablate(repo_dir: Path, tmp_path: Path, monkeypatch) -> ModuleType:
    """The tool as a module, in a folder with a file of tables."""
    monkeypatch.syspath_prepend(repo_dir / 'tools')
    monkeypatch.chdir(tmp_path)
    write_tables(tmp_path)
    return importlib.import_module('ablate')


@pytest.fixture
def tools(ablate, monkeypatch) -> FakeTools:
    """What ``ablate`` runs, in small, and without its pictures: one after every run is most of a test's time."""
    for name in ('draw_chart', 'draw_curves'):
        monkeypatch.setattr(ablate, name, lambda experiment, outcomes, out_file: None)
    row_runs = importlib.import_module('row_runs')
    fake = FakeTools(row_runs)
    monkeypatch.setattr(row_runs, '_run', fake)
    return fake


@pytest.fixture
def port() -> int:
    """A free one."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]
