"""The folder of a run: three images, a Sparse R-CNN with random weights, and a log whose numbers are known."""

import json
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from tests.visualization.conftest import checkpoint, dataset, known_proposals, picture_config

__all__ = ['checkpoint', 'dataset', 'known_proposals', 'picture_config']

TIME = '20260102_030405'
ENVIRONMENT = f"""2026/01/02 03:04:05 - mmengine - INFO -
{'-' * 60}
System environment:
    sys.platform: linux
    PyTorch: 2.11.0
    PyTorch compiling details: PyTorch built with:
  - GCC 13.3

    OpenCV: 4.12.0

Runtime environment:
    seed: 7
{'-' * 60}

2026/01/02 03:04:06 - mmengine - INFO - Config: ...
"""


def training_line(step: int, epoch: int, scale: float = 1.0) -> dict:
    losses = {
        f's{stage}.{kind}': scale * (stage + 1) / step
        for stage in range(2)
        for kind in ('loss_cls', 'loss_bbox', 'loss_iou')
    }
    return dict(lr=0.1 / step, loss=sum(losses.values()), **losses, grad_norm=1.0, time=0.5, epoch=epoch, step=step)


def validation_line(epoch: int, ap: float) -> dict:
    names = ('bbox_mAP', 'bbox_mAP_50', 'bbox_mAP_75', 'bbox_mAP_s', 'bbox_mAP_m', 'bbox_mAP_l')
    return dict(**{f'coco/{name}': ap for name in names[:5]}, **{'coco/bbox_mAP_l': -1.0}, time=0.1, step=epoch)


def write_log(run: Path, time: str, lines: list[dict]) -> Path:
    """RUN/TIME/vis_data/scalars.json; returns its folder."""
    folder = run / time / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text(''.join(f'{json.dumps(line)}\n' for line in lines))
    return folder


@pytest.fixture(scope='session', autouse=True)
def mmdet_scope_of_session() -> None:
    """The weights are made before any module's fixtures."""
    init_default_scope('mmdet')


def make_run(folder: Path, picture_config: Config, checkpoint: Path) -> Path:
    """Fill ``folder`` with two epochs of ten steps: a log, a config and a checkpoint; returns it."""
    lines = [training_line(step, epoch) for epoch in (1, 2) for step in range(10 * epoch - 9, 10 * epoch + 1)]
    log = write_log(folder, TIME, [*lines[:10], validation_line(1, 0.25), *lines[10:], validation_line(2, 0.5)])
    picture_config.dump(log / 'config.py')
    (folder / TIME / f'{TIME}.log').write_text(ENVIRONMENT)
    (folder / 'epoch_2.pth').symlink_to(checkpoint)
    (folder / 'last_checkpoint').write_text('/elsewhere/epoch_2.pth')
    return folder


@pytest.fixture
def run(tmp_path: Path, picture_config: Config, checkpoint: Path) -> Path:
    """See :func:`make_run`."""
    return make_run(tmp_path / 'my <run>', picture_config, checkpoint)
