"""A file of tables, and tools that do as if, for the tests of tools/ablate.py."""

import json
from pathlib import Path
from threading import Lock
from types import ModuleType

from mmengine.config import Config

ROWS = {
    'one.py': "_base_ = 'recipe.py'\nmodel = dict(stages=1)\n",
    'three.py': "_base_ = 'recipe.py'\n",
    'six.py': "_base_ = 'recipe.py'\nmodel = dict(stages=6)\n",
    'also_three.py': "_base_ = 'recipe.py'\nmodel = dict(stages=3)\n",
}
TABLES = [
    dict(
        name='stages',
        title='Stages',
        source='https://example.org',
        rows=[
            dict(name='1', config='one.py', paper_ap=21.7),
            dict(name='3', config='three.py', paper_ap=39.9),
            dict(name='6', config='six.py', paper_ap=42.3, default=True),
        ],
    ),
    dict(
        name='again',
        title='Once more',
        source='https://example.org',
        rows=[
            dict(name='six', config='six.py', paper_ap=None),
            dict(name='three', config='also_three.py', paper_ap=None),
        ],
    ),
]
RECIPE = """
train_cfg = dict(max_epochs=4)
param_scheduler = [dict(type='CosineAnnealingLR', T_max=4, end=4)]
model = dict(stages=3)
val_cfg = dict(type='ValLoop')
val_dataloader = dict()
val_evaluator = dict()
default_hooks = dict(checkpoint=dict(type='CheckpointHook', interval=1, save_best='auto'))
"""
COST = dict(parameters=6e6, flops=5e8, latency_seconds=0.03, size=[160, 160], device='A CPU')


class FakeTools:
    """Stands for flops.py, train.py and test.py; keeps what was run, as (tool, stages, seed)."""

    def __init__(self, row_runs: ModuleType) -> None:
        self.row_runs = row_runs
        self.ran: list[tuple] = []
        self.arguments: list[list[str]] = []
        self.broken: set[tuple] = set()
        self.interrupted_at: tuple | None = None
        self.paused = Lock()

    def __call__(self, command: list[str], log: Path, launch: object, on_line: object) -> list[str]:
        name, config = Path(command[1]).stem, Path(command[2])
        cfg = Config.fromfile(config)
        seed = int(log.parent.name.removeprefix('seed-')) if log.parent.name.startswith('seed-') else None
        step = (name, cfg.model.stages, seed)
        self.ran.append(step)
        self.arguments.append(command[2:])
        with self.paused:
            pass
        if step in self.broken:
            raise self.row_runs.RunError(f'exit code 1; {log} ends with\nValueError: no luck')
        if name == 'flops':
            return ['a warning', *json.dumps(COST, indent=1).splitlines(), 'another warning']
        folder = log.parent
        if name == 'train':
            for epoch in range(1, cfg.train_cfg.max_epochs + 1):
                (folder / f'epoch_{epoch}.pth').touch()
                # The record of a folder that was moved since.
                (folder / 'last_checkpoint').write_text(f'/elsewhere/epoch_{epoch}.pth')
                if step == self.interrupted_at:
                    raise KeyboardInterrupt
            scalars = folder / '20240101_000000/vis_data/scalars.json'
            scalars.parent.mkdir(parents=True, exist_ok=True)
            lines = [dict(step=10, loss=1.0, time=cfg.model.stages / 10 + seed)]
            if 'val_interval' in cfg.train_cfg:
                lines.append({'coco/bbox_mAP': cfg.model.stages / 10, 'step': 10})
            scalars.write_text('\n'.join(map(json.dumps, lines)))
        else:
            assert Path(command[3]) == folder / f'epoch_{cfg.train_cfg.max_epochs}.pth'
            metrics = folder / 'test/20240101_000000/20240101_000000.json'
            metrics.parent.mkdir(parents=True)
            metrics.write_text(json.dumps({'coco/bbox_mAP': (10 * cfg.model.stages + seed) / 100}))
        return []


def write_tables(folder: Path) -> None:
    """Write ``recipe.py``, the rows and ``tables.json``."""
    (folder / 'recipe.py').write_text(RECIPE)
    for name, text in ROWS.items():
        (folder / name).write_text(text)
    (folder / 'tables.json').write_text(json.dumps(TABLES))
