"""Training goes on in half precision as in float32: never a value that is not finite, and the AP that float32 gets."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from tests.durability.shapes_training import in_precision, make_shapes, shapes_config

START, ITERATIONS = 200, 200


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


def train(cfg: Config, precision: str, iterations: int, load_from: str | None = None) -> tuple[float, Watch, str]:
    """COCO's AP, what was seen, and the checkpoint."""
    cfg = in_precision(cfg, precision)
    cfg.work_dir = str(Path(cfg.work_dir, f'{precision}_{iterations}'))
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=iterations)
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=iterations)
    cfg.load_from = load_from
    watch = Watch()
    runner = Runner.from_cfg(cfg)
    runner.register_hook(watch)
    runner.train()
    ap = runner.message_hub.get_scalar('val/coco/bbox_mAP').current()
    return float(ap), watch, str(Path(cfg.work_dir, f'iter_{iterations}.pth'))


def few_shapes(folder: Path) -> Config:
    data = make_shapes(folder / 'data', '--num-train', 6, '--num-val', 2, '--size', 160, '--objects', 2, 3)
    cfg = shapes_config(
        data,
        size=128,
        train_dataloader__sampler=dict(type='InfiniteSampler', shuffle=True),
        train_dataloader__batch_size=2,
        model__rpn_head__num_proposals=20,
        optim_wrapper__optimizer__lr=5e-4,
        log_processor__by_epoch=False,
        work_dir=str(folder / 'run'),
    )
    # Without the flips that an AP of use would take many more iterations for.
    cfg.train_dataloader.dataset.pipeline = [
        part for part in cfg.train_dataloader.dataset.pipeline if part['type'] != 'RandomFlip'
    ]
    cfg.param_scheduler = [dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=20)]
    return cfg


@pytest.mark.slow
def test_bf16_on_a_cpu_is_as_exact_as_float32(tmp_path):
    """200 iterations from weights with an AP; from the first one on, there is none after so few."""
    cfg = few_shapes(tmp_path)
    before, _, start = train(cfg, 'float32', START)
    cfg.param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, begin=0, end=ITERATIONS, eta_min=0)]
    full, watch_full, _ = train(cfg, 'float32', ITERATIONS, start)
    half, watch_half, _ = train(cfg, 'bf16', ITERATIONS, start)
    assert len(watch_half.losses) == ITERATIONS
    assert (watch_full.dtypes, watch_half.dtypes) == ({torch.float32}, {torch.bfloat16})
    # Else the comparison says nothing.
    assert full > before + 0.2
    assert abs(half - full) <= 0.05, f'AP {full:.3f} in float32, {half:.3f} in bf16'


def test_bf16_on_a_cpu(tmp_path):
    _, watch, _ = train(few_shapes(tmp_path), 'bf16', 10)
    assert len(watch.losses) == 10
    assert watch.dtypes == {torch.bfloat16}
    assert sum(watch.losses[-3:]) < sum(watch.losses[:3])


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
@pytest.mark.parametrize('precision', ['fp16', 'bf16'])
def test_on_a_gpu(tmp_path, precision):
    cfg = few_shapes(tmp_path)
    before, _, start = train(cfg, 'float32', START)
    cfg.param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, begin=0, end=ITERATIONS, eta_min=0)]
    full, _, _ = train(cfg, 'float32', ITERATIONS, start)
    half, watch, _ = train(cfg, precision, ITERATIONS, start)
    assert watch.dtypes == {dict(fp16=torch.float16, bf16=torch.bfloat16)[precision]}
    assert full > before + 0.2
    assert abs(half - full) <= 0.05, f'AP {full:.3f} in float32, {half:.3f} in {precision}'
