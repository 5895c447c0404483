"""What the rows change from stage to stage: their number, what they hand on, what they share, what they lose by."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from sparse_rcnn_ext.errors import UserError
from tests.configs.ablation_rows import WHWH, build_row, make_pyramid, run_stages
from tests.models.small_model import STAGES, make_images, make_sample


@pytest.mark.parametrize(('row', 'reuses'), [('roi-fc_no-reuse', False), ('roi-fc', True), ('default', True)])
def test_feature_reuse(row, reuses):
    """Every stage gets the last one's boxes, and its object features only where they are reused."""
    model = build_row(row)
    learned = model.rpn_head(WHWH)[1]
    stages = run_stages(model)
    assert len(stages) == STAGES
    assert torch.equal(stages[0][0][1], learned)
    for (_, (_, last_boxes, _)), ((_, feats, boxes, _), _) in pairwise(stages):
        assert torch.equal(boxes, last_boxes)
        assert torch.equal(feats, learned) != reuses
    stages[-1][1][0].sum().backward()
    # Boxes carry no gradient from stage to stage: features are the only way back.
    trained = [
        any(weight.grad is not None and weight.grad.any() for weight in stage.parameters())
        for stage in model.roi_head.bbox_head
    ]
    assert trained == [reuses, reuses, True]


@pytest.mark.parametrize(('row', 'reuses'), [('roi-fc_no-reuse', False), ('roi-fc', True)])
def test_shaken_object_features_reach_the_next_stage_by_reuse_alone(row, reuses):
    model = build_row(row)
    first = model.roi_head.bbox_head[0]
    nn.init.zeros_(first.fc_reg.weight)  # so that its boxes do not hang on its features
    before = run_stages(model)
    nn.init.uniform_(first.ffn_norm.bias, 0.5, 1.5)
    after = run_stages(model)
    assert not torch.allclose(before[0][1][0], after[0][1][0])
    assert torch.equal(before[1][0][2], after[1][0][2])
    for part in range(3):
        assert torch.equal(before[1][1][part], after[1][1][part]) != reuses


def test_one_stage():
    model = build_row('roi-fc_one-stage')
    (((_, feats, boxes, _), _),) = run_stages(model)
    for found, expected in zip((boxes, feats), model.rpn_head(WHWH)):
        assert torch.equal(found, expected)


@pytest.mark.parametrize('number', [1, 2, 3, 6, 12])
def test_number_of_stages(number):
    model = build_row(f'stages-{number}')
    assert len(run_stages(model)) == number
    assert len({stage.fc_reg.weight.data_ptr() for stage in model.roi_head.bbox_head}) == number


def test_stages_share_one_set_of_parameters():
    """They compute what stages of their own with the same weights do, and their gradient is the sum of those."""
    shared, own = build_row('shared-stages'), build_row('default')
    weights = shared.state_dict()
    stage = {name: value for name, value in weights.items() if name.startswith('roi_head.')}
    assert all(name.startswith('roi_head.bbox_head.0.') for name in stage)
    copies = {name.replace('.0.', f'.{index}.', 1): stage[name] for index in range(STAGES) for name in stage}
    own.load_state_dict({**weights, **copies}, strict=True)

    outputs = [model.roi_head(make_pyramid(), *model.rpn_head(WHWH)) for model in (shared, own)]
    assert len(outputs[0].logits) == STAGES
    for found, expected in zip(*outputs):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    for output in outputs:
        (output.logits.pow(2).sum() + output.boxes.pow(2).sum() / 1e4).backward()
    for name, parameter in shared.roi_head.bbox_head[0].named_parameters():
        total = sum(stage.get_parameter(name).grad for stage in own.roi_head.bbox_head)
        torch.testing.assert_close(parameter.grad, total, rtol=1e-8, atol=1e-12)


def test_shared_stages_survive_a_round_trip_and_compilation():
    model, other = build_row('shared-stages'), build_row('shared-stages', seed=1)
    other.load_state_dict(model.state_dict(), strict=True)
    inputs = make_pyramid(), *model.rpn_head(WHWH)
    expected = model.roi_head(*inputs)
    assert torch.equal(other.roi_head(*inputs).logits, expected.logits)
    torch.compiler.reset()
    compiled = torch.compile(model.roi_head, backend='eager')
    assert torch.equal(compiled(*inputs).logits, expected.logits)


def test_dropout():
    for row, probability in (('dropout', 0.1), ('default', 0.0)):
        model = build_row(row).train()
        for stage in model.roi_head.bbox_head:
            assert {module.p for module in stage.modules() if isinstance(module, nn.Dropout)} == {probability}
            assert stage.attention.attn.dropout == probability
        outputs = [model.roi_head(make_pyramid(), *model.rpn_head(WHWH)).logits for _ in range(2)]
        assert torch.equal(*outputs) == (probability == 0)


def test_without_deep_supervision_early_stages_have_no_loss():
    images, samples = make_images([(64, 90)]), [make_sample((64, 90), 3)]
    found = {}
    for row in ('last-stage-loss', 'default'):
        model = build_row(row).train()
        found[row] = model.loss(images, samples)
        sum(value for name, value in found[row].items() if 'loss' in name).backward()
        for index, stage in enumerate(model.roi_head.bbox_head):
            supervised = row == 'default' or index == STAGES - 1
            assert bool(stage.fc_cls.weight.grad.any()) == bool(stage.fc_reg.weight.grad.any()) == supervised
            assert stage.ffn_norm.weight.grad.any()  # by way of the object features
    for name, value in found['last-stage-loss'].items():
        kept = 'acc' in name or name.startswith(f's{STAGES - 1}.')
        assert value.item() == (found['default'][name].item() if kept else 0), name


def test_the_last_stage_keeps_its_own_weight():
    overrides = {'model.criterion.stage_loss_weights': [1.0, 2.0, 0.5]}
    criterion = build_row('last-stage-loss', overrides).criterion
    assert criterion.stage_weights(STAGES) == [0, 0, 0.5]
    with pytest.raises(UserError, match='3 weights for 4 stages'):
        criterion.stage_weights(4)
