"""What docs/architecture.md adds, one file and one line each, works as it stands there."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import HOOKS
from mmengine.structures import InstanceData
from torch.utils.data import DataLoader

from sparse_rcnn_ext import registry
from sparse_rcnn_ext.ablation import find_table
from sparse_rcnn_ext.export import FORMATS, Format  # noqa: F401  the documented line is evaluated
from sparse_rcnn_ext.export.graph import DetectionGraph
from sparse_rcnn_ext.export.metadata import describe
from tests.engine.hooks.small_runner import SmallDetector, make_runner
from tests.export.examples import TINY, build_detector, read_recipe


@pytest.fixture
def addition(repo_dir, tmp_path, monkeypatch):
    """Of a word: the documented new file in place, as far as Python is concerned, and the text that follows it."""

    def put(word: str) -> tuple[Path, str]:
        text = (repo_dir / 'docs/architecture.md').read_text().partition(f'\n**{word}** ')[2].partition('\n\n**')[0]
        path = re.search(r'`((?:sparse_rcnn_ext|configs|tools)/\S+\.py)`:', text)[1]
        assert not (repo_dir / path).exists()
        file = tmp_path / path
        if path.startswith('configs'):
            shutil.copytree(repo_dir / 'configs', tmp_path / 'configs')
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(re.search(r'```python\n(.*?)```', text, re.DOTALL)[1])
        if path.startswith('sparse_rcnn_ext'):
            package = import_module('.'.join(Path(path).parent.parts))
            monkeypatch.setattr(package, '__path__', [*package.__path__, str(file.parent)])
        return file, text.partition('```\n')[2]

    yield put
    for name in ('sparse_rcnn_ext.export.program', 'sparse_rcnn_ext.engine.hooks.boxes_seen'):
        sys.modules.pop(name, None)
    registry.HOOKS.module_dict.pop('BoxesSeenHook', None)


def test_an_ablation(addition):
    file, text = addition('An ablation')
    tables = file.with_name('tables.yml')
    line = re.search('`(- {.+})`', text)[1]
    tables.write_text(tables.read_text().replace('  rows:\n', f'  rows:\n    {line}\n', 1))
    row = find_table(tables, 'components').rows[0]
    assert (row.name, row.config) == ('half as far', file)
    head, usual = (Config.fromfile(path).model.roi_head.bbox_head for path in (file, file.with_name('default.py')))
    assert head.bbox_stds == (0.25, 0.25, 0.5, 0.5)
    assert {key: value for key, value in head.items() if key != 'bbox_stds'} == usual


def test_a_data_format(addition, repo_dir, tmp_path):
    file, _ = addition('A data format')
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((20, 30, 3), np.uint8))
    lines = ('a.png,cat,2,3,12,13', 'a.png,dog,1,1,1,9', 'b.png,cat,2,3,12,13')
    (tmp_path / 'boxes.csv').write_text('\n'.join(lines) + '\n')
    command = [sys.executable, str(file), 'boxes.csv', '.', 'out', 'cat', 'dog']
    environment = os.environ | dict(PYTHONPATH=str(repo_dir))
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / 'out/train.json').read_text())
    assert [box['bbox'] for box in content['annotations']] == [[2, 3, 10, 10]]
    assert 'left out: boxes without area' in done.stdout and 'in b.png' in done.stdout


def test_an_export_format(addition, repo_dir, tmp_path, monkeypatch):
    _, text = addition('An export format')
    kind, line = re.search(r'`(\w+)=(Format\(.+\)),`', text).groups()
    monkeypatch.setitem(FORMATS, kind, eval(line))
    cfg = read_recipe(repo_dir, options=TINY)
    detector = build_detector(cfg)
    classes = [str(number) for number in range(80)]
    metadata = describe(cfg, detector, classes, dynamic=False, half=False)
    graph = DetectionGraph(detector, metadata['pad_divisor'])
    out = tmp_path / f'tiny{FORMATS[kind].ending}'
    FORMATS[kind].write(graph, metadata, out)
    images, sizes = torch.rand(1, 3, *metadata['size']), torch.tensor([[150, 90]])
    with torch.no_grad(), graph.for_export():
        expected = graph(images, sizes)
    facts = {'metadata.json': ''}
    program = torch.export.load(out, extra_files=facts)
    assert json.loads(facts['metadata.json'])['classes'] == classes
    for ours, theirs in zip(program.module()(images, sizes), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_hook(addition, tmp_path):
    _, text = addition('A hook')
    line = re.search('`from (.boxes_seen) import BoxesSeenHook`', text)[1]
    import_module(line, 'sparse_rcnn_ext.engine.hooks')
    (hook,) = eval(re.search(r'`custom_hooks = (\[.+\])`', text)[1])
    samples = [dict(inputs=torch.zeros(1), data_samples=InstanceData(gt_instances=range(count))) for count in (2, 3)]
    loader = DataLoader(samples, collate_fn=pseudo_collate)
    runner = make_runner(tmp_path / 'run', [HOOKS.build(hook)], SmallDetector(2), train_dataloader=loader)
    runner.train()
    (log,) = (tmp_path / 'run').rglob('*.log')
    assert '5 boxes in epoch 1' in log.read_text()
