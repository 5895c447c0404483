"""Training in half precision never has a value that is not finite."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from sparse_rcnn_ext.engine.run_config import switch_amp
from tests.durability.conftest import SOAK
from tests.durability.shapes_training import shapes_config

ITERATIONS = 200 if SOAK else 10
BEFORE = 2000
"""Iterations in float32 from which the long form goes on: 200 alone find nothing, in whatever precision."""


class Watch(Hook):
    """Every loss, in what type the network computed, and that all weights stay finite."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.dtypes: set[torch.dtype] = set()

    def before_train(self, runner: Runner) -> None:
        runner.model.roi_head.bbox_head[0].fc_cls.register_forward_hook(self._note)

    def _note(self, module: nn.Module, inputs: tuple, output: Tensor) -> None:
        if module.training:
            self.dtypes.add(output.dtype)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        assert all(value.isfinite() for value in outputs.values())
        assert all(weight.isfinite().all() for weight in runner.model.parameters())
        self.losses.append(outputs['loss'].item())


@pytest.fixture(scope='module')
def config(run_process, repo_dir, tmp_path_factory) -> Config:
    """The quickstart's model on six images, which it is tested on too."""
    folder = tmp_path_factory.mktemp('half')
    tool = str(repo_dir / 'tools/dataset/make_shapes_coco.py')
    options = ['data', '--num-train=6', '--num-val=2', '--size=160', '--objects', '2', '3']
    code, printed = run_process(tool, options, folder)
    assert code == 0, printed
    cfg = shapes_config(
        folder / 'data',
        size=128,
        train_dataloader__sampler=dict(type='InfiniteSampler', shuffle=True),
        train_dataloader__batch_size=2,
        model__rpn_head__num_proposals=20,
        optim_wrapper__optimizer__lr=5e-4,
        log_processor__by_epoch=False,
    )
    if not SOAK:
        cfg.update(val_cfg=None, val_dataloader=None, val_evaluator=None)
    cfg.param_scheduler = [dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=4)]
    return cfg


def train(
    config: Config, work_dir: Path, amp: str | None, iterations: int = ITERATIONS, load_from: Path | None = None
) -> tuple[Watch, float]:
    """Train; what was seen, and the AP on the same images, NaN without an evaluation."""
    cfg = deepcopy(config)  # its own copy shares what is deeper
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=iterations)
    cfg.update(work_dir=str(work_dir), experiment_name=f'{work_dir.name}-{amp}', load_from=load_from and str(load_from))
    if amp:
        switch_amp(cfg, amp)
    watch = Watch()
    runner = Runner.from_cfg(cfg)
    runner.register_hook(watch)
    runner.train()
    assert len(watch.losses) == iterations
    precision = runner.message_hub.log_scalars.get('val/coco/bbox_mAP')
    return watch, precision.current() if precision else float('nan')


def test_bf16_on_a_cpu(config, tmp_path):
    watch, _ = train(config, tmp_path / 'half', 'bf16')
    assert watch.dtypes == {torch.bfloat16}
    assert sum(watch.losses[-3:]) < sum(watch.losses[:3])


@pytest.mark.skipif(not SOAK, reason='it takes long: make soak')
def test_bf16_is_as_good_as_float32(config, tmp_path):
    config.default_hooks.checkpoint.update(by_epoch=False, interval=BEFORE)
    train(config, tmp_path / 'before', None, BEFORE)
    start = tmp_path / f'before/iter_{BEFORE}.pth'
    found = {}
    for amp in (None, 'bf16'):
        watch, found[amp] = train(config, tmp_path / f'{amp}', amp, load_from=start)
        assert watch.dtypes == {torch.bfloat16 if amp else torch.float32}
    print(f'AP {found}')
    # Else nothing has been learnt that could differ.
    assert found[None] > 0.1
    assert abs(found['bf16'] - found[None]) <= 0.05
