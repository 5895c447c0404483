"""Inference that stops early: the first stages of the same model, whatever its parts; training runs all."""

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from sparse_rcnn_ext.engine.speed.fast_inference import fast_forward_stages
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.models.post_process import top_detections
from tests.configs.ablation_rows import build_row
from tests.models.small_model import STAGES, build_model, make_images, make_sample

DIAL = 'model.test_cfg.num_stages'
SIZES = [(64, 90), (50, 128)]
EACH = range(1, STAGES + 1)


def samples(num_boxes: int = 0) -> list:
    return [make_sample(size, num_boxes, seed) for seed, size in enumerate(SIZES)]


def stages_run(model) -> list[int]:
    """Grows by the number of each stage that runs from now on."""
    ran = []
    for index, stage in enumerate(model.roi_head.bbox_head):
        stage.register_forward_hook(lambda *_, index=index: ran.append(index))
    return ran


@pytest.mark.parametrize('num_stages', EACH)
def test_detections_are_those_of_that_stage(num_stages):
    images = make_images(SIZES)
    with torch.no_grad():
        outputs = build_model().double().eval()(images, samples(), mode='tensor')
        found = build_model({DIAL: num_stages}).double().eval().predict(images, samples())
    scores, boxes = outputs.logits[num_stages - 1].sigmoid(), outputs.boxes[num_stages - 1]
    expected = top_detections(scores, boxes, 10)
    for image, sample in enumerate(found):
        found = sample.pred_instances
        torch.testing.assert_close(found.bboxes, expected[0][image])
        torch.testing.assert_close(found.scores, expected[1][image])
        assert torch.equal(found.labels, expected[2][image])


@pytest.mark.parametrize('num_stages', [*EACH, None])
def test_no_further_stage_runs(num_stages):
    model = build_model({DIAL: num_stages}).double().eval()
    ran = stages_run(model)
    model.predict(make_images(SIZES), samples())
    assert ran == list(range(num_stages or STAGES))


def test_training_runs_all_and_learns_the_same():
    losses = []
    for num_stages in (None, 1):
        model = build_model({DIAL: num_stages}).double().train()
        ran = stages_run(model)
        losses.append(model.loss(make_images(SIZES), samples(3)))
        assert ran == list(range(STAGES))
    assert losses[0] == losses[1]
    assert f's{STAGES - 1}.loss_cls' in losses[0]


@pytest.mark.parametrize('row', ['shared-stages', 'softmax', 'roi-fc_no-reuse', 'roi-attention', 'position-encoding'])
def test_ablations(row):
    images, whwh = make_images(SIZES), torch.tensor([[90.0, 64, 90, 64], [128, 50, 128, 50]], dtype=torch.float64)
    with torch.no_grad():
        whole = build_row(row).eval().forward_stages(images, whwh)
        for num_stages in EACH:
            part = build_row(row, {DIAL: num_stages}).eval().forward_stages(images, whwh)
            assert torch.equal(part.logits, whole.logits[:num_stages])
            assert torch.equal(part.boxes, whole.boxes[:num_stages])


@pytest.mark.parametrize('compile', [False, True])
def test_fast_inference(compile):
    images, whwh = make_images(SIZES, torch.float32), torch.tensor([[90.0, 64, 90, 64], [128, 50, 128, 50]])
    counter = CompileCounterWithBackend('eager')
    options = dict(backend=counter, fullgraph=True) if compile else False
    with torch.no_grad():
        whole = build_model().eval().forward_stages(images, whwh)
        fast = fast_forward_stages(build_model({DIAL: 2}), fuse_conv_bn=True, compile=options)(images, whwh)
    assert len(fast.logits) == len(fast.boxes) == 2
    torch.testing.assert_close(fast.logits, whole.logits[:2], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fast.boxes, whole.boxes[:2], rtol=1e-4, atol=1e-3)
    assert counter.frame_count == int(compile)


@pytest.mark.parametrize('num_stages', [0, -1, STAGES + 1, 1.0, '2', True])
def test_number_that_there_is_not(num_stages):
    with pytest.raises(UserError, match=rf'num_stages is {num_stages!r}, and the model has 3 stages: .* from 1 to 3'):
        build_model({DIAL: num_stages})


def test_shared_stages_count_as_often_as_they_run():
    build_row('shared-stages', {DIAL: STAGES})
    with pytest.raises(UserError, match=f'has {STAGES} stages'):
        build_row('shared-stages', {DIAL: STAGES + 1})
