"""The stage loop: what each stage sees and what learns from what; and the one place of each setting."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from torch.autograd.graph import saved_tensors_hooks

from tests.models.small_model import BASE, CHANNELS, PROPOSALS, STAGES, build_model


def make_inputs(model) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
    """A pyramid and proposals of two images, in float64."""
    generator = torch.Generator().manual_seed(2)
    pyramid = [
        torch.randn(2, CHANNELS, 64 // stride, 96 // stride, generator=generator, dtype=torch.float64).requires_grad_()
        for stride in (4, 8, 16, 32)
    ]
    boxes, feats = model.rpn_head(torch.tensor([[96.0, 64, 96, 64], [80, 50, 80, 50]], dtype=torch.float64))
    return pyramid, boxes, feats


@pytest.fixture
def model():
    return build_model().double()


def test_every_stage_pools_where_the_last_one_placed_its_boxes(model, monkeypatch):
    head = model.roi_head
    pooled_at, stage_inputs = [], []
    pool = head.roi_features.pool
    monkeypatch.setattr(head.roi_features, 'pool', lambda table, boxes: pooled_at.append(boxes) or pool(table, boxes))
    for stage in head.bbox_head:
        stage.register_forward_hook(lambda module, inputs, outputs: stage_inputs.append((*inputs, *outputs)))
    pyramid, boxes, feats = make_inputs(model)
    outputs = head(pyramid, boxes, feats)

    assert len(pooled_at) == len(stage_inputs) == STAGES
    assert outputs.logits.shape[:3] == outputs.boxes.shape[:3] == (STAGES, 2, PROPOSALS)
    for index, (_, stage_feats, stage_boxes, _, logits, out_boxes, _) in enumerate(stage_inputs):
        assert torch.equal(pooled_at[index], stage_boxes)
        assert torch.equal(stage_boxes, boxes if index == 0 else outputs.boxes[index - 1])
        assert torch.equal(stage_feats, feats if index == 0 else stage_inputs[index - 1][-1])
        assert torch.equal(outputs.logits[index], logits)
        assert torch.equal(outputs.boxes[index], out_boxes)


def test_the_pyramid_is_laid_out_once(model, monkeypatch):
    head = model.roi_head
    calls = []
    tabulate = head.roi_features.tabulate
    monkeypatch.setattr(head.roi_features, 'tabulate', lambda pyramid: calls.append(1) or tabulate(pyramid))
    head(*make_inputs(model))
    assert len(calls) == 1


def kept_for_backward(model) -> tuple[int, list[torch.Tensor]]:
    """Bytes that autograd keeps of the stages, and the gradients of the model."""
    storages = {}
    inputs = make_inputs(model)
    with saved_tensors_hooks(lambda x: storages.update({x.data_ptr(): x.nbytes}) or x, lambda x: x):
        outputs = model.roi_head(*inputs)
    (outputs.logits.square().sum() + outputs.boxes.sum()).backward()
    grads = [weight.grad for weight in (*model.roi_head.parameters(), *model.rpn_head.parameters(), *inputs[0])]
    model.zero_grad()
    return sum(storages.values()), grads


def test_checkpointing_keeps_less_and_learns_the_same(model):
    all_kept, expected = kept_for_backward(model)
    model.roi_head.with_cp = True
    kept, found = kept_for_backward(model)
    # What remains are the inputs of the stages: RoI features, proposal features and boxes.
    assert kept < 0.5 * all_kept
    # Some are zero by nature: a bias of the attention's keys, a level that no box reads.
    assert sum(bool(grad.any()) for grad in expected) > 0.8 * len(expected)
    for grad, same in zip(found, expected, strict=True):
        torch.testing.assert_close(grad, same, rtol=0, atol=0)


def test_boxes_of_a_stage_do_not_train_the_one_before(model):
    head = model.roi_head
    pyramid, boxes, feats = make_inputs(model)
    outputs = head(pyramid, boxes, feats)
    outputs.boxes[1].sum().backward()
    # Box regressors hang on boxes alone, and between stages these carry no gradient.
    assert [
        stage.fc_reg.weight.grad is not None and bool(stage.fc_reg.weight.grad.any()) for stage in head.bbox_head
    ] == [False, True, False]
    # The object features do carry one, back to the learned features.
    assert head.bbox_head[0].ffn_norm.weight.grad.any()
    assert model.rpn_head.init_proposal_features.weight.grad.any()
    grad = model.rpn_head.init_proposal_bboxes.weight.grad
    assert grad is None or not grad.any()


def test_learned_proposals_train_through_the_first_stage(model):
    outputs = model.roi_head(*make_inputs(model))
    outputs.boxes[0].pow(2).sum().backward()
    assert model.rpn_head.init_proposal_bboxes.weight.grad.abs().sum(1).gt(0).all()


def test_stages_have_weights_of_their_own():
    names = {name for name, _ in build_model().roi_head.named_parameters()}
    kinds = {name.split('.', 2)[2] for name in names}
    assert names == {f'bbox_head.{stage}.{kind}' for stage in range(STAGES) for kind in kinds}
    first, second = (build_model().roi_head.bbox_head[stage].fc_reg.weight for stage in (0, 1))
    assert not torch.equal(first, second)


@pytest.mark.parametrize('num_stages', [1, 5])
def test_num_stages_stands_once(num_stages):
    model = build_model({'model.roi_head.num_stages': num_stages}).double()
    assert model.roi_head(*make_inputs(model)).logits.shape[0] == len(model.roi_head.bbox_head) == num_stages


def test_num_proposals_stands_once():
    model = build_model({'model.rpn_head.num_proposals': 4}).double()
    outputs = model.roi_head(*make_inputs(model))
    assert outputs.boxes.shape == (STAGES, 2, 4, 4)
    assert model.max_per_img == 4


def test_num_classes_stands_once():
    model = build_model({'model.roi_head.bbox_head.num_classes': 2}).double()
    assert model.roi_head(*make_inputs(model)).logits.shape[-1] == 2
    assert {stage.num_classes for stage in model.roi_head.bbox_head} == {2}


def test_a_child_config_overrides_each_with_one_line(tmp_path):
    child = tmp_path / 'child.py'
    child.write_text(
        f'_base_ = {str(BASE)!r}\n'
        'model = dict(\n'
        '    backbone=dict(init_cfg=None),\n'
        '    rpn_head=dict(num_proposals=9),\n'
        '    roi_head=dict(num_stages=2, bbox_head=dict(num_classes=4)),\n'
        ')\n'
    )
    model = MODELS.build(Config.fromfile(child).model)
    assert model.rpn_head.init_proposal_bboxes.weight.shape == (9, 4)
    assert [stage.fc_cls.weight.shape for stage in model.roi_head.bbox_head] == [(4, 256)] * 2
    assert model.roi_head.bbox_head[0].ffn.layers[0][0].weight.shape == (2048, 256)  # the rest is as it was
    assert model.max_per_img == 9
