"""Our model computes what the official implementation computes, on the values it left in golden/."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

from sparse_rcnn_ext.convert import official_to_ours
from tests.parity.golden_values import assert_golden_detections, golden_batch, load_golden


@pytest.fixture(scope='module')
def golden(shared_dir):
    return load_golden(shared_dir)


def build(golden, repo_dir, dtype):
    """The golden model's sizes as overrides of our base config, with its weights."""
    size = golden['settings']
    channels = size['channels']
    cfg = Config.fromfile(repo_dir / 'configs/_base_/models/sparse-rcnn_r50_fpn.py')
    cfg.merge_from_dict(
        {
            'model.data_preprocessor.mean': size['pixel_mean'],
            'model.data_preprocessor.std': size['pixel_std'],
            'model.data_preprocessor.bgr_to_rgb': False,
            'model.backbone.stem_channels': size['stem_channels'],
            'model.backbone.base_channels': size['base_channels'],
            'model.backbone.init_cfg': None,
            'model.neck.in_channels': [size['base_channels'] * 4 * 2**level for level in range(4)],
            'model.neck.out_channels': channels,
            'model.rpn_head.num_proposals': size['proposals'],
            'model.rpn_head.proposal_feature_channel': channels,
            'model.roi_head.num_stages': size['stages'],
            'model.roi_head.roi_features.level_eps': 4e-8,
            'model.roi_head.bbox_head.num_classes': size['classes'],
            'model.roi_head.bbox_head.num_heads': size['heads'],
            'model.roi_head.bbox_head.feedforward_channels': size['ffn'],
            'model.roi_head.bbox_head.in_channels': channels,
            'model.roi_head.bbox_head.dynamic_conv_cfg.feat_channels': size['dynamic_channels'],
            'model.roi_head.bbox_head.wh_scale_range': (0, 100000 / 16),
        }
    )
    model = MODELS.build(cfg.model).to(dtype)  # before loading: float32 would round the weights
    weights = official_to_ours(golden['model'], 'golden')
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected
    assert all(name.endswith('num_batches_tracked') for name in missing)
    return model


def official_losses(golden):
    """The official losses under our names: no suffix is the last stage."""
    kinds = dict(loss_ce='loss_cls', loss_bbox='loss_bbox', loss_giou='loss_iou')
    last = golden['settings']['stages'] - 1
    return {
        f's{stage}.{ours}': golden['losses'][theirs if stage == last else f'{theirs}_{stage}']
        for stage in range(last + 1)
        for theirs, ours in kinds.items()
    }


def test_every_parameter_has_a_name_of_ours(golden, repo_dir):
    model = build(golden, repo_dir, torch.float64)
    ours = {name for name in model.state_dict() if not name.endswith('num_batches_tracked')}
    assert ours == set(official_to_ours(golden['model'], 'golden'))


def test_stages_in_float64(golden, repo_dir):
    model = build(golden, repo_dir, torch.float64).train()
    outputs = model._forward(*golden_batch(golden, model, torch.float64))
    torch.testing.assert_close(outputs.logits, golden['stage_logits'], rtol=1e-9, atol=0)
    torch.testing.assert_close(outputs.boxes, golden['stage_boxes'], rtol=1e-9, atol=1e-9)


def test_matches(golden, repo_dir):
    model = build(golden, repo_dir, torch.float64).train()
    inputs, samples = golden_batch(golden, model, torch.float64)
    seen = []
    assign = model.criterion.assigner.assign
    model.criterion.assigner.assign = lambda *args: seen.append(assign(*args)) or seen[-1]
    model.loss(inputs, samples)

    stages = golden['settings']['stages']
    order = [stages - 1, *range(stages - 1)]  # golden: last stage first
    for stage, images in zip(order, golden['matches_last_stage_first'], strict=True):
        for image, (proposals, boxes) in enumerate(images):
            mine = seen[0].image[stage] == image
            ours = zip(seen[0].proposal[stage][mine].tolist(), seen[0].target[stage][mine].tolist(), strict=True)
            assert sorted(ours) == sorted(zip(list(proposals), list(boxes), strict=True))


def test_losses_and_gradients_in_float64(golden, repo_dir):
    model = build(golden, repo_dir, torch.float64).train()
    losses = model.loss(*golden_batch(golden, model, torch.float64))
    expected = official_losses(golden)
    assert {name for name in losses if 'loss' in name} == set(expected)
    for name, value in expected.items():
        # The official focal loss computes in float32.
        assert losses[name].item() == pytest.approx(value, rel=1e-6 if 'cls' in name else 1e-9), name

    total = sum(losses[name] for name in expected)
    assert total.item() == pytest.approx(golden['total_loss'], rel=1e-6)
    total.backward()
    ours = {name: p.grad.norm().item() for name, p in model.named_parameters() if p.grad is not None}
    theirs = official_to_ours(golden['grad_norms'], 'golden')
    for name, norm in theirs.items():
        assert ours[name] == pytest.approx(norm, rel=1e-5), name
    # The official backbone freezes the affine part of every norm; ours trains it, as mmdet's does.
    assert all('.bn' in name or '.downsample.1.' in name for name in set(ours) - set(theirs))


def test_detections_in_float64(golden, repo_dir):
    model = build(golden, repo_dir, torch.float64).eval()
    with torch.no_grad():
        results = model.predict(*golden_batch(golden, model, torch.float64), rescale=False)
    assert_golden_detections(golden, results)
    model.clip_boxes = True
    with torch.no_grad():
        results = model.predict(*golden_batch(golden, model, torch.float64), rescale=False)
    for sample, expected in zip(results, golden['detections'], strict=True):
        order = expected['scores'].argsort(descending=True)
        torch.testing.assert_close(sample.pred_instances.bboxes, expected['boxes'][order], rtol=1e-9, atol=1e-9)


def deviation(outputs, golden):
    """How far logits and boxes (in pixels) are off, at most."""
    return [(outputs.logits - golden['stage_logits']).abs().max(), (outputs.boxes - golden['stage_boxes']).abs().max()]


def rounded(values, generator):
    """Moved by up to half of float32's last digit."""
    return values * (1 + (2 * torch.rand(values.shape, generator=generator, dtype=torch.float64) - 1) * 2**-24)


def assert_as_close_as_rounding(outputs, golden, repo_dir, pyramid=None):
    """Within five times of what rounding alone does to the float64 model: its parameters, and ``pyramid`` if given.

    Convolutions and products round differently on every processor and with every number of threads, and the three
    random stages, whose boxes are up to six images wide, amplify that: one fixed bound would be wrong on one machine
    or say nothing on another.
    """
    deviations = []
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        model = build(golden, repo_dir, torch.float64).train()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(rounded(parameter, generator))
            if pyramid is not None:
                levels = [rounded(level, generator) for level in pyramid]
                model.extract_feat = lambda _, levels=levels: levels
            deviations.append(deviation(model._forward(*golden_batch(golden, model, torch.float64)), golden))
    for found, of_rounding in zip(deviation(outputs, golden), zip(*deviations)):
        assert found < 5 * max(of_rounding)


@torch.no_grad()
def test_float32_head_stays_close(golden, repo_dir):
    """Our own modules in float32, on the pyramid of the float64 model."""
    exact = build(golden, repo_dir, torch.float64).train()
    pyramid = exact.extract_feat(golden_batch(golden, exact, torch.float64)[0])
    model = build(golden, repo_dir, torch.float32).train()
    model.extract_feat = lambda _: [level.float() for level in pyramid]
    outputs = model._forward(*golden_batch(golden, model, torch.float32))
    assert_as_close_as_rounding(outputs, golden, repo_dir, pyramid)


@torch.no_grad()
def test_float32_model_stays_close(golden, repo_dir):
    model = build(golden, repo_dir, torch.float32).train()
    inputs, samples = golden_batch(golden, model, torch.float32)
    losses = model.loss(inputs, samples)
    assert_as_close_as_rounding(model._forward(inputs, samples), golden, repo_dir)
    for name, value in official_losses(golden).items():
        assert losses[name].item() == pytest.approx(value, rel=1e-4), name
