"""Training in half precision never has a value that is not finite."""

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from sparse_rcnn_ext.engine.run_config import switch_amp
from tests.durability.shapes_training import shapes_config


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


def test_bf16_on_a_cpu(run_process, repo_dir, tmp_path):
    tool = str(repo_dir / 'tools/dataset/make_shapes_coco.py')
    options = ['data', '--num-train=6', '--num-val=2', '--size=160', '--objects', '2', '3']
    code, printed = run_process(tool, options, tmp_path)
    assert code == 0, printed
    cfg = shapes_config(
        tmp_path / 'data',
        size=128,
        train_dataloader__sampler=dict(type='InfiniteSampler', shuffle=True),
        train_dataloader__batch_size=2,
        model__rpn_head__num_proposals=20,
        optim_wrapper__optimizer__lr=5e-4,
        log_processor__by_epoch=False,
        work_dir=str(tmp_path / 'run'),
    )
    cfg.update(val_cfg=None, val_dataloader=None, val_evaluator=None)
    cfg.param_scheduler = [dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=4)]
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=10)
    switch_amp(cfg, 'bf16')
    watch = Watch()
    runner = Runner.from_cfg(cfg)
    runner.register_hook(watch)
    runner.train()
    assert len(watch.losses) == 10
    assert watch.dtypes == {torch.bfloat16}
    assert sum(watch.losses[-3:]) < sum(watch.losses[:3])
