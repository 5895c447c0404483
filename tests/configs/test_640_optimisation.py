"""Learning rate, averaged weights, checkpoints and normalisation of the 640-pixel recipe, as training sees them."""

import math
import shutil

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.optim import build_optim_wrapper
from torch import nn

from tests.configs.recipe_640 import ScriptedMAP, loader, train_one_weight, turn
from tests.models.small_model import SIZES, make_images, make_sample

EPOCH = 40  # iterations
TOTAL = 36 * EPOCH
# A rate that the recipe's schedule does not touch, so that a weight falls by 1 a step.
PLAIN = {'optim_wrapper': {'optimizer': {'type': 'SGD', 'lr': 1.0}}, 'param_scheduler': None}


def warm_up(t: int) -> float:
    """From a hundredth in equal steps; the last of the 1000 iterations of the warm-up has the full rate."""
    return 0.01 + 0.99 * min(t, 999) / 999


def multistep(t: int) -> float:
    return 0.1 ** ((t >= 27 * EPOCH) + (t >= 33 * EPOCH))


def cosine(t: int) -> float:
    return (1 + math.cos(math.pi * t / TOTAL)) / 2


@pytest.mark.parametrize(
    ('decay', 'in_numbers'),
    [
        (multistep, {0: 2.5e-7, 999: 2.5e-5, 1079: 2.5e-5, 1080: 2.5e-6, 1319: 2.5e-6, 1320: 2.5e-7, 1439: 2.5e-7}),
        # cos(3π/4) = −√½ after 27 of the 36 epochs, and cos(11π/12) = −cos(15°) after 33.
        (cosine, {0: 2.5e-7, 1080: 3.661165e-6, 1320: 4.259272e-7}),
    ],
)
def test_learning_rate(tmp_path, decay, in_numbers):
    _, record = train_one_weight(turn(decay=decay.__name__), tmp_path, EPOCH)
    assert len(record.rates) == TOTAL
    chosen = [0, 1, 2, 100, 500, 998, 999, 1000, 27 * EPOCH - 1, 27 * EPOCH, 33 * EPOCH - 1, 33 * EPOCH, TOTAL - 1]
    for t in chosen:
        assert record.rates[t] == pytest.approx(2.5e-5 * warm_up(t) * decay(t), rel=1e-9), t
    # Written out, so that a slip in the formulas shows.
    assert {t: record.rates[t] for t in in_numbers} == pytest.approx(in_numbers, rel=1e-6)


@pytest.mark.parametrize(('epochs', 'steps'), [(1, []), (6, [5]), (12, [9, 11]), (24, [18, 22]), (36, [27, 33])])
def test_steps_follow_the_number_of_epochs(tmp_path, epochs, steps):
    cfg = turn(max_epochs=epochs, warmup_iters=2)
    _, record = train_one_weight(cfg, tmp_path, 2)
    assert len(record.rates) == 2 * epochs
    falls = [t for t in range(2, 2 * epochs) if record.rates[t] < record.rates[t - 1]]
    assert falls == [2 * step for step in steps]
    assert record.rates[-1] == pytest.approx(2.5e-5 * 0.1 ** len(steps))


def test_average_of_the_weights(tmp_path):
    cfg = turn(max_epochs=1)
    hooks = {'checkpoint': None, 'logger': None, 'ema': cfg.default_hooks.ema}
    _, record = train_one_weight(cfg, tmp_path, 5000, default_hooks=hooks, **PLAIN)
    # The first update copies the weights.
    assert record.averages[0] == record.weights[0] == 0
    for t in (2, 3, 10, 100, 999, 2000, 3500, 5000):
        before, after, weight = record.averages[t - 2], record.averages[t - 1], record.weights[t - 1]
        assert weight == 1 - t
        decay = (after - weight) / (before - weight)
        assert decay == pytest.approx(0.9999 * (1 - math.exp(-t / 2000)), rel=1e-9), t


def kept(folder) -> dict[str, dict]:
    """The checkpoints in a work dir."""
    return {path.name: torch.load(path, weights_only=False) for path in folder.rglob('*.pth')}


def test_validation_and_checkpoints_have_the_average(tmp_path):
    cfg = turn(max_epochs=4)
    runner, record = train_one_weight(
        cfg,
        tmp_path / 'run',
        3,
        default_hooks={'logger': None, 'checkpoint': cfg.default_hooks.checkpoint, 'ema': cfg.default_hooks.ema},
        val_dataloader=loader(1),
        val_cfg=cfg.val_cfg,
        val_evaluator=Evaluator(ScriptedMAP([0.1, 0.3, 0.2, 0.25])),
        **PLAIN,
    )
    ends = [2, 5, 8, 11]
    # Every epoch is validated, on the average; training goes on with the weights themselves.
    assert runner.model.validated == [record.averages[t] for t in ends]
    assert record.weights == [-t for t in range(12)]
    assert all(abs(record.averages[t] - record.weights[t]) > 1e-4 for t in ends)

    files = kept(tmp_path / 'run')
    assert set(files) == {'best_coco_bbox_mAP_epoch_2.pth', 'epoch_4.pth'}
    for name, epoch in (('best_coco_bbox_mAP_epoch_2.pth', 2), ('epoch_4.pth', 4)):
        assert files[name]['state_dict']['weight'].item() == record.averages[ends[epoch - 1]]
        assert files[name]['ema_state_dict']['module.weight'].item() == record.weights[ends[epoch - 1]]
    # The statistics of BatchNorm are buffers as this one, which counts: they are averaged as their weights are.
    assert files['epoch_4.pth']['ema_state_dict']['module.statistic'] == 12
    assert 11 < files['epoch_4.pth']['state_dict']['statistic'] < 12


def test_resumed_training_equals_an_uninterrupted_one(tmp_path):
    def train(folder, epochs, **changes):
        cfg = turn(max_epochs=epochs)
        hooks = {'logger': None, 'checkpoint': cfg.default_hooks.checkpoint, 'ema': cfg.default_hooks.ema}
        return train_one_weight(cfg, tmp_path / folder, 3, default_hooks=hooks, **PLAIN, **changes)[1]

    whole = train('whole', 4)
    first = train('first', 2)
    shutil.copytree(tmp_path / 'first', tmp_path / 'second')
    second = train('second', 4, load_from=str(tmp_path / 'second/epoch_2.pth'), resume=True)
    assert first.weights + second.weights == whole.weights
    assert first.averages + second.averages == whole.averages
    assert set(kept(tmp_path / 'second')) == {'epoch_4.pth'}


def small_model(cfg: Config):
    cfg.merge_from_dict(SIZES)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return model


def test_norm_layers_do_not_decay():
    cfg = turn(frozen_bn=False)
    model = small_model(cfg)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    assert type(optimizer) is torch.optim.AdamW
    decay = {id(value): group['weight_decay'] for group in optimizer.param_groups for value in group['params']}
    found = {}
    for module in model.modules():
        for value in module.parameters(recurse=False):
            if value.requires_grad:
                found.setdefault(type(module), set()).add(decay.pop(id(value)))
    assert not decay
    assert found.pop(nn.BatchNorm2d) == found.pop(nn.LayerNorm) == {0.0}
    # All else does, the learned proposals too.
    assert nn.Embedding in found and set.union(*found.values()) == {1e-4}


def batch_norm_state(model) -> dict[str, torch.Tensor]:
    """Weights and statistics of the BatchNorm layers that are not in the part of the backbone that never trains."""
    return {
        f'{name}.{key}': value.clone()
        for name, module in model.backbone.named_modules()
        if isinstance(module, nn.BatchNorm2d) and name.startswith(('layer2', 'layer3', 'layer4'))
        for key, value in module.state_dict().items()
    }


@pytest.mark.parametrize('frozen', [True, False])
def test_frozen_bn(frozen):
    cfg = turn(frozen_bn=frozen)
    model = small_model(cfg).train()
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    before = batch_norm_state(model)
    sizes = [(64, 96), (96, 64)]
    samples = [make_sample(size, 3, seed) for seed, size in enumerate(sizes)]
    for _ in range(2):  # some residual branches start as zero, and their layers without a gradient
        loss, _ = model.parse_losses(model.loss(make_images(sizes, torch.float32), samples))
        optim_wrapper.update_params(loss)
    after = batch_norm_state(model)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == (set() if frozen else set(before))
