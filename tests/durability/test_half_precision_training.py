"""Training in half precision never has a value that is not finite."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from sparse_rcnn_ext.engine.config.run_config import switch_amp
from tests.durability.conftest import SOAK
from tests.durability.shapes_training import RECIPE, REPO, shapes_config

TRAINED = REPO / 'work_dirs' / RECIPE.stem / 'epoch_12.pth'
"""The model that the long form goes on from: 200 iterations from nothing find nothing, in whatever precision."""


class Watch(Hook):
    """Every loss, in what type the network computed, that all weights stay finite, and the AP after it."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.dtypes: set[torch.dtype] = set()
        self.precision: float | None = None

    def before_train(self, runner: Runner) -> None:
        runner.model.roi_head.bbox_head[0].fc_cls.register_forward_hook(self._note)

    def _note(self, module: nn.Module, inputs: tuple, output: Tensor) -> None:
        if module.training:
            self.dtypes.add(output.dtype)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        assert all(value.isfinite() for value in outputs.values())
        assert all(weight.isfinite().all() for weight in runner.model.parameters())
        self.losses.append(outputs['loss'].item())


def train(cfg: Config, work_dir: Path, amp: str | None, iterations: int) -> Watch:
    """Train in float32 or ``amp``, and test where ``cfg`` says on what; return what was seen."""
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=iterations)
    cfg.train_dataloader.sampler = dict(type='InfiniteSampler', shuffle=True)
    cfg.log_processor.by_epoch = False
    cfg.update(work_dir=str(work_dir), experiment_name=f'{work_dir.name}-{amp}')
    if amp:
        switch_amp(cfg, amp)
    watch = Watch()
    runner = Runner.from_cfg(cfg)
    runner.register_hook(watch)
    runner.train()
    assert len(watch.losses) == iterations
    if cfg.val_cfg:
        watch.precision = runner.message_hub.get_scalar('val/coco/bbox_mAP').current()
    return watch


def test_bf16_on_a_cpu(run_process, repo_dir, tmp_path):
    tool = str(repo_dir / 'tools/dataset/make_shapes_coco.py')
    options = ['data', '--num-train=6', '--num-val=2', '--size=160', '--objects', '2', '3']
    code, printed = run_process(tool, options, tmp_path)
    assert code == 0, printed
    cfg = shapes_config(
        tmp_path / 'data',
        size=128,
        train_dataloader__batch_size=2,
        model__rpn_head__num_proposals=20,
        optim_wrapper__optimizer__lr=5e-4,
    )
    cfg.update(val_cfg=None, val_dataloader=None, val_evaluator=None)
    cfg.param_scheduler = [dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=4)]
    watch = train(cfg, tmp_path / 'half', 'bf16', iterations=10)
    assert watch.dtypes == {torch.bfloat16}
    assert sum(watch.losses[-3:]) < sum(watch.losses[:3])


@pytest.mark.skipif(not SOAK, reason='it takes long: make soak')
def test_bf16_is_as_good_as_float32(tmp_path, monkeypatch):
    """200 more iterations, at a rate that falls from the recipe's to nothing; AP is that of the held-out images."""
    monkeypatch.chdir(REPO)
    assert TRAINED.exists(), f'{TRAINED} is missing: python tools/quickstart.py --config {RECIPE}'
    falling = dict(type='LinearLR', start_factor=1.0, end_factor=0.0, by_epoch=False, begin=0, end=200)
    found = {}
    for amp in (None, 'bf16'):
        cfg = Config.fromfile(RECIPE)
        cfg.load_from = str(TRAINED)
        cfg.param_scheduler = [falling]
        cfg.default_hooks.report.enabled = False
        watch = train(cfg, tmp_path / f'{amp}', amp, iterations=200)
        assert watch.dtypes == {torch.bfloat16 if amp else torch.float32}
        found[amp] = watch.precision
    print(f'AP {found}')
    # Else nothing has been learnt that could differ.
    assert found[None] > 0.4
    assert abs(found['bf16'] - found[None]) <= 0.05
