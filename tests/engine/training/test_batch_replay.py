"""A saved batch in the model again: the same numbers, and where they stop being finite."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseModel
from torch import Tensor, nn

from sparse_rcnn_ext.engine.training.batch_replay import (
    Replay,
    build_to_train,
    choose_precision,
    replay,
    training_state,
)
from sparse_rcnn_ext.engine.training.non_finite import plain
from sparse_rcnn_ext.engine.training.saved_batch import SavedBatch, read_batch
from sparse_rcnn_ext.engine.training.seeded_batches import seed_all
from sparse_rcnn_ext.errors import UserError
from tests.engine.hooks.spoilt_training import INF, NAN, Images, Spoilt, make_runner
from tests.models.small_model import build_model, make_sample, small_config

SEED = (3, 0, 5, 0)


def make_batch(spoil: float | None = None) -> dict:
    """Two images of different sizes, as a data loader gives them; ``spoil`` is a pixel of the second one."""
    items = []
    for number, size in enumerate([(64, 90), (50, 60)]):
        sample = make_sample(size, 3, number)
        sample.set_metainfo(dict(img_path=f'{number}.jpg'))
        pixels = torch.randint(256, (3, *size), generator=torch.Generator().manual_seed(number)).to(torch.uint8)
        items.append(dict(inputs=pixels, data_samples=sample))
    if spoil is not None:
        items[1]['inputs'] = items[1]['inputs'].float()
        items[1]['inputs'][0, 1, 2] = spoil
    return pseudo_collate(items)


def save(batch: dict, seed: tuple[int, ...] | None = None) -> SavedBatch:
    return SavedBatch(6, 's0.loss_cls is nan', plain(batch), seed)


def own_losses(model: nn.Module, batch: dict, dtype: torch.dtype | None = None) -> dict[str, float]:
    """What a training would compute, by the model's own means."""
    with torch.autocast('cpu', dtype, enabled=dtype is not None):
        data = model.data_preprocessor(batch, True)
        losses = model(**data, mode='loss')
    return {name: value.item() for name, value in model.parse_losses(losses)[1].items() if 'loss' in name}


@pytest.mark.parametrize('dtype', [None, torch.bfloat16])
def test_losses_are_the_models_own_bit_for_bit(dtype):
    model = build_model().train()
    expected = own_losses(model, make_batch(), dtype)
    before = {name: value.clone() for name, value in model.named_parameters()}
    found = replay(model, save(make_batch()), dtype)
    assert found == Replay(expected, None, [], None) and not found.is_ill
    assert len(expected) == 10 and expected['loss'] > 0
    assert (expected == own_losses(model, make_batch())) == (dtype is None)
    for name, value in model.named_parameters():
        assert torch.equal(value, before[name]) and value.grad is None
    assert not any(module._forward_hooks for module in model.modules())


def test_augmentations_of_a_batch():
    pad = dict(type='BatchFixedSizePad', size=(128, 160))
    model = build_model({'model.data_preprocessor.batch_augments': [pad]}).train()
    expected = own_losses(model, make_batch())
    assert replay(model, save(make_batch())).losses == expected
    assert expected != own_losses(build_model().train(), make_batch())


def test_random_numbers_are_those_of_the_iteration():
    model = build_model({'model.roi_head.bbox_head.dropout': 0.3}).train()
    seed_all(*SEED)
    expected = own_losses(model, make_batch())
    assert own_losses(model, make_batch()) != expected
    assert replay(model, save(make_batch(), SEED)).losses == expected
    assert replay(model, save(make_batch())).losses != expected


def test_gradients_of_before_do_not_count():
    model = build_model().train()
    for weight in model.parameters():
        weight.grad = torch.full_like(weight, NAN)
    assert not replay(model, save(make_batch())).is_ill


def test_the_first_module():
    model = build_model().train()
    model.roi_head.bbox_head[1].fc_reg.register_forward_hook(lambda module, inputs, output: output * INF)
    found = replay(model, save(make_batch()))
    assert found.is_ill
    assert found.module[:3] == ('roi_head.bbox_head.1.fc_reg', 'Linear', True)
    assert 0 < found.module.largest < 100 and found.module.weights_finite
    ill = {name for name, value in found.losses.items() if value != value or value in (INF, -INF)}
    assert {'loss', 's1.loss_bbox', 's2.loss_bbox'} <= ill
    assert not any(name.startswith('s0.') for name in ill)
    assert 'roi_head.bbox_head.1.fc_reg.weight' in found.gradients


def test_weights_that_are_not_finite():
    model = build_model().train()
    nn.init.constant_(model.roi_head.bbox_head[0].fc_cls.bias, INF)
    module = replay(model, save(make_batch())).module
    assert module[:3] == ('roi_head.bbox_head.0.fc_cls', 'Linear', True) and not module.weights_finite


def test_a_pixel_that_is_not_finite():
    module = replay(build_model().train(), save(make_batch(INF))).module
    assert module[:3] == ('data_preprocessor', 'DetDataPreprocessor', False)
    # 255 is the whitest pixel.
    assert module.largest == 255


def spoilt_batch() -> dict:
    return pseudo_collate([Images()[number] for number in (2, 3)])


def test_between_modules():
    """The loss itself is computed by the model; an accuracy may be NaN."""
    found = replay(Spoilt((1,), NAN), save(spoilt_batch()))
    assert found.module[:2] == ('', 'Spoilt')
    assert {name for name, value in found.losses.items() if value != value} == {'loss', 's1.loss_bbox'}
    good = replay(Spoilt(), save(spoilt_batch()))
    assert good.module is None and not good.is_ill
    assert list(good.losses) == ['loss', 's0.loss_cls', 's0.loss_bbox', 's1.loss_cls', 's1.loss_bbox']


def test_inputs_without_a_finite_number():
    batch = spoilt_batch()
    batch['inputs'] = [torch.full((3,), NAN)] * 2
    assert replay(Spoilt(), save(batch)).module[:4] == ('data_preprocessor', 'BaseDataPreprocessor', False, 0)


def test_gradients_alone():
    found = replay(Spoilt((1,), 'gradient'), save(spoilt_batch()))
    assert found.is_ill and found.module is None
    assert found.gradients == ['bbox_head.1.weight', 'bbox_head.1.bias']
    assert all(value == value for value in found.losses.values())


def test_a_gradient_whose_square_overflows():
    """It would stop a training, too."""
    model = Spoilt()
    model.bbox_head[0].weight.register_hook(lambda gradient: torch.full_like(gradient, 1e30))
    assert replay(model, save(spoilt_batch())).gradients == ['bbox_head.0.weight']


class Root(BaseModel):
    """Its forward pass is finite, its backward pass has NaN on the way.

    Args:
        error: What the second forward pass raises.
    """

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.error, self.count = error, 0

    def forward(self, inputs: list[Tensor], data_samples: list, mode: str = 'tensor') -> dict[str, Tensor]:
        self.count += 1
        if self.error is not None and self.count == 2:
            raise self.error
        # torch takes the root, in Python.
        return dict(loss_root=nn.functional.lp_pool1d(self.weight[None], 2, 1).sum() * 0)


def test_the_operation():
    assert replay(Root(), save(spoilt_batch())).operation is None
    found = replay(Root(), save(spoilt_batch()), anomaly=True)
    line = next(
        number
        for number, text in enumerate(Path(__file__).read_text().splitlines(), start=1)
        if 'lp_pool1d(self' in text
    )
    assert found.operation == f'PowBackward0, of line {line} of {__file__}, in forward'
    assert not torch.is_anomaly_enabled()
    assert replay(Spoilt(), save(spoilt_batch()), anomaly=True).operation is None


def test_another_error_while_the_operation_is_looked_for():
    with pytest.raises(RuntimeError, match='out of memory'):
        replay(Root(RuntimeError('out of memory')), save(spoilt_batch()), anomaly=True)


def test_from_a_training_to_its_replay(tmp_path):
    with pytest.raises(UserError):
        make_runner(tmp_path, Spoilt((6,), INF)).train()
    saved = read_batch(tmp_path / 'non_finite/iter_6.pt')
    assert saved.iteration == 6 and saved.found.startswith('s1.loss_bbox is inf') and saved.seed == [0, 0, 5, 0]
    checkpoint = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)
    for model in (Spoilt(), Spoilt((1,), INF)):
        model.load_state_dict(training_state(checkpoint))
        found = replay(model, saved)
        assert found.is_ill == bool(model.at)
        assert found.losses['s0.loss_bbox'] > 0
        assert (found.losses['s1.loss_bbox'] == INF) == bool(model.at)


def test_weights_that_were_trained():
    one, two = torch.ones(1), torch.full((1,), 2.0)
    assert training_state(dict(a=one)) == dict(a=one)
    assert training_state(dict(state_dict=dict(a=one), meta={})) == dict(a=one)
    # mmengine's EMAHook saves the average where the weights were.
    averaged = {'module.a': two, 'steps': torch.tensor(4)}
    assert training_state(dict(state_dict=dict(a=one, b=one), ema_state_dict=averaged)) == dict(a=two, b=one)


AMP = dict(type='sparse_rcnn_ext.AmpOptimWrapper')


@pytest.mark.parametrize(
    ('wrapper', 'amp', 'device', 'expected'),
    [
        (dict(type='OptimWrapper'), None, 'cpu', None),
        (None, None, 'cpu', None),
        (AMP, None, 'cpu', torch.bfloat16),
        (AMP, None, 'cuda:1', torch.float16),
        (AMP | dict(dtype='bfloat16'), None, 'cuda', torch.bfloat16),
        (dict(type='AmpOptimWrapper', dtype='float16'), None, 'cuda', torch.float16),
        (AMP | dict(dtype='float16'), 'bf16', 'cpu', torch.bfloat16),
        (AMP | dict(dtype='float16'), 'off', 'cpu', None),
        (AMP | dict(dtype='float16'), 'auto', 'cpu', torch.bfloat16),
        (dict(type='OptimWrapper'), 'auto', 'cuda', torch.float16),
        (dict(type='OptimWrapper'), 'fp16', 'cuda', torch.float16),
    ],
)
def test_precision(wrapper, amp, device, expected):
    assert choose_precision(Config(dict(optim_wrapper=wrapper)), amp, device) == expected


@pytest.mark.parametrize(('wrapper', 'amp'), [(AMP | dict(dtype='float16'), None), (AMP, 'fp16')])
def test_float16_needs_cuda(wrapper, amp):
    with pytest.raises(UserError, match=r'float16 needs CUDA: give --amp bf16 or --amp off, or --device cuda'):
        choose_precision(Config(dict(optim_wrapper=wrapper)), amp, 'cpu')


def test_batch_norm_of_several_processes_runs_in_one():
    cfg = small_config({'model.backbone.norm_cfg': dict(type='SyncBN', requires_grad=True)})
    model = build_to_train(cfg, 'cpu')
    assert model.training and not any(isinstance(part, nn.SyncBatchNorm) for part in model.modules())
    assert not replay(model, save(make_batch())).is_ill
