"""Recursive stages: what is shared, how often it runs, and that attention knows where each proposal is."""

import math

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from torch import Tensor, nn

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.models.upgrades.positioned_self_attention import PositionedSelfAttention
from tests.configs.ablation_rows import UPGRADES, WHWH, build_row, build_upgrade, make_pyramid
from tests.models.small_model import CHANNELS, STAGES, make_images, make_sample

STAGE = 13_235_412  # parameters of a stage with 256 channels, 49 positions and 64 dynamic channels
POSITION = 512 * 256 + 256 + 256 * 256 + 256


def build(num_stages: int = STAGES, **overrides) -> nn.Module:
    return build_upgrade('recursive', {'model.roi_head.num_stages': num_stages, **overrides}).double()


def own_stages(model: nn.Module) -> set[str]:
    return {name.split('.')[2] for name in model.state_dict() if name.startswith('roi_head.bbox_head.')}


def run(model: nn.Module, num_stages: int | None = None):
    return model.roi_head(make_pyramid(), *model.rpn_head(WHWH), num_stages=num_stages)


def test_parameters_of_the_recipe():
    """53 million less, but for what encodes positions."""
    sizes = {}
    for path in (UPGRADES / 'recursive.py', UPGRADES.parent / 'sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py'):
        cfg = Config.fromfile(path)
        with torch.device('meta'):
            model = MODELS.build({**cfg.model, 'backbone': {**cfg.model.backbone, 'init_cfg': None}})
        sizes[path.stem] = sum(parameter.numel() for parameter in model.parameters())
        assert len(list(model.roi_head.bbox_head)) == model.num_test_stages == 6
    recursive, recipe = sizes.values()
    assert recipe - recursive == 4 * STAGE - 2 * POSITION > 52e6


@pytest.mark.parametrize('num_stages', [1, 2, 3, 7])
def test_the_first_stage_has_its_own_parameters_and_all_later_ones_share_theirs(num_stages):
    model = build(num_stages)
    first, *later = model.roi_head.bbox_head
    assert model.roi_head.num_stages == 1 + len(later) == num_stages
    assert len(set(later)) == min(len(later), 1) and first not in later
    assert own_stages(model) == set('01'[:num_stages])
    assert len(run(model).logits) == num_stages
    if later:
        assert not torch.equal(first.fc_reg.weight, later[0].fc_reg.weight)


def test_they_compute_what_copies_of_the_shared_stage_would():
    """And the gradient of the shared stage is the sum of those of the copies."""
    shared = build(4)
    own = build_row('default', {'model.roi_head.num_stages': 4}, spread=False)
    for stage in own.roi_head.bbox_head:
        stage.attention = PositionedSelfAttention(CHANNELS, num_heads=2).double()
    weights = shared.state_dict()
    second = {name: value for name, value in weights.items() if name.startswith('roi_head.bbox_head.1.')}
    copies = {name.replace('.1.', f'.{index}.', 1): second[name] for index in (2, 3) for name in second}
    own.load_state_dict({**weights, **copies}, strict=True)

    outputs = run(shared), run(own)
    for found, expected in zip(*outputs, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    for output in outputs:
        (output.logits.pow(2).sum() + output.boxes.pow(2).sum() / 1e4).backward()
    for stages in ((0,), (1, 2, 3)):
        for name, parameter in shared.roi_head.bbox_head[stages[0]].named_parameters():
            total = sum(own.roi_head.bbox_head[stage].get_parameter(name).grad for stage in stages)
            torch.testing.assert_close(parameter.grad, total, rtol=1e-8, atol=1e-12)


def test_checkpoints_hold_every_weight_once():
    model, other = build(5), build_upgrade('recursive', {'model.roi_head.num_stages': 5}, seed=1).double()
    names = list(model.state_dict())
    assert len(names) == len(set(names))
    other.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(run(other).logits, run(model).logits)


def test_the_first_stages_of_more_are_the_same():
    """Another number of them needs no other weights."""
    many, few = build(6), build(3)
    few.load_state_dict(many.state_dict(), strict=True)
    for found, part, all_of in zip(run(few), run(many, 3), run(many), strict=True):
        assert torch.equal(found, all_of[:3]) and torch.equal(part, all_of[:3])


@pytest.mark.parametrize('num_stages', [1, 2, 4])
def test_inference_stops_where_test_cfg_says(num_stages):
    model = build(4, **{'model.test_cfg.num_stages': num_stages}).eval()
    images, samples = make_images([(64, 90)]), [make_sample((64, 90), 2)]
    with torch.no_grad():
        outputs = model(images, samples, mode='tensor')
    assert len(outputs.logits) == num_stages
    assert sum('loss_cls' in name for name in model.train().loss(images, samples)) == 4


def test_no_more_stages_than_run():
    with pytest.raises(UserError, match='num_stages is 5, and the model has 4 stages'):
        build(4, **{'model.test_cfg.num_stages': 5})


def make_attention(num_sines: int = 6, **settings) -> PositionedSelfAttention:
    torch.manual_seed(0)
    return PositionedSelfAttention(CHANNELS, num_heads=2, num_sines=num_sines, **settings).double()


def make_inputs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    corner, side = (100 * torch.rand(2, 4, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    return torch.randn(2, 4, CHANNELS, generator=generator).double(), torch.cat([corner, corner + side], -1)


@pytest.mark.parametrize(('num_sines', 'temperature'), [(128, 10000.0), (6, 20.0)])
def test_encoding_equals_the_slow_formula(num_sines, temperature):
    """Sines of all wave lengths, then cosines, of centre x, centre y, width and height in pixels."""
    _, boxes = make_inputs()
    found = make_attention(num_sines, temperature=temperature).encode(boxes)
    for box, numbers in zip(boxes.flatten(0, 1).tolist(), found.flatten(0, 1).tolist(), strict=True):
        expected = []
        for value in ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1]):
            angles = [value / temperature ** (2 * pair / num_sines) for pair in range(num_sines // 2)]
            expected += [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]
        assert numbers == pytest.approx(expected, abs=1e-9)


def test_the_default_is_that_of_the_paper():
    attention = PositionedSelfAttention(256)
    first, _, second = attention.position
    assert (first.weight.shape, second.weight.shape) == ((256, 512), (256, 256))
    slowest = attention.encode(torch.tensor([0.0, 0, 1000, 1000])).view(4, 128)[2, 63]
    assert slowest.item() == pytest.approx(math.sin(1000 / 10000 ** (126 / 128)), abs=1e-6)


def test_positions_reach_query_and_key_but_not_value():
    """Against attention written out."""
    attention = make_attention()
    feats, boxes = make_inputs()
    placed = feats + attention.position(attention.encode(boxes))
    weights, biases = attention.attn.in_proj_weight.chunk(3), attention.attn.in_proj_bias.chunk(3)
    query, key, value = (
        (source @ weight.T + bias).unflatten(-1, (2, -1)).transpose(1, 2)  # (B, heads, N, C / heads)
        for source, weight, bias in zip((placed, placed, feats), weights, biases, strict=True)
    )
    scores = (query @ key.transpose(2, 3) / math.sqrt(CHANNELS / 2)).softmax(-1)
    expected = feats + attention.attn.out_proj((scores @ value).transpose(1, 2).flatten(2))
    torch.testing.assert_close(attention(feats, boxes), expected, rtol=1e-10, atol=1e-11)


def test_positions_change_what_is_said():
    attention = make_attention()
    feats, boxes = make_inputs()
    moved = boxes.clone()
    moved[0, 0] += 7
    changed = (attention(feats, moved) - attention(feats, boxes)).abs().amax(-1)
    assert changed[0].gt(1e-9).all() and changed[1].eq(0).all()


def test_boxes_take_no_gradient_by_way_of_positions():
    attention = make_attention()
    feats, boxes = (value.requires_grad_() for value in make_inputs())
    attention(feats, boxes).square().sum().backward()
    assert boxes.grad is None and feats.grad.any()
    assert all(parameter.grad.any() for parameter in attention.position.parameters())


def test_a_box_of_the_first_stage_learns_by_its_own_deltas_alone():
    model = build()
    run(model).logits.square().sum().backward()
    grad = model.rpn_head.init_proposal_bboxes.weight.grad
    assert grad is None or not grad.any()


def test_half_precision_keeps_positions_exact():
    """Export keeps boxes in float32; a wave length that is rounded is far off at a thousand pixels."""
    boxes = torch.tensor([[900.0, 700, 1300, 1100]])
    whole, half = make_attention(128).float(), make_attention(128).half()
    torch.testing.assert_close(half.encode(boxes), whole.encode(boxes), rtol=0, atol=1e-3)


def test_proposals_that_are_hidden_stay_so():
    attention = make_attention()
    feats, boxes = make_inputs()
    hidden = torch.zeros(2, 4, 4, dtype=torch.bool)
    hidden[0, :3, 3] = True
    before = attention(feats, boxes, hidden)
    moved = boxes.clone()
    moved[:, 3] += 9
    changed = (attention(feats, moved, hidden) - before).abs().amax(-1).gt(1e-9)
    assert changed.tolist() == [[False, False, False, True], [True] * 4]
