"""The detector: batches of any images train and test."""

import pytest
import torch
from torch import nn

from sparse_rcnn_ext.errors import UserError
from tests.models.small_model import PROPOSALS, STAGES, build_model, make_images, make_sample

SIZES = [(64, 90), (50, 128), (96, 60)]


@pytest.fixture(scope='module')
def model() -> nn.Module:
    return build_model().double().eval()


def make_samples(counts=(0, 0, 0), **settings):
    return [make_sample(size, n, seed, **settings) for seed, (size, n) in enumerate(zip(SIZES, counts, strict=True))]


def losses_of(model: nn.Module, counts, **settings) -> dict[str, torch.Tensor]:
    model.zero_grad()
    found = model.loss(make_images(SIZES), make_samples(counts, **settings))
    sum(value for name, value in found.items() if 'loss' in name).backward()
    return found


def assert_all_trained(model: nn.Module) -> None:
    """Distributed training waits for the gradient of every parameter."""
    missing = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize('counts', [(4, 2, 3), (3, 0, 1), (0, 0, 2), (0, 0, 0)])
def test_losses_are_finite_and_train_everything(counts):
    model = build_model().double().train()
    found = losses_of(model, counts)
    kinds = ('loss_cls', 'loss_bbox', 'loss_iou', 'pos_acc')
    assert set(found) == {f's{stage}.{kind}' for stage in range(STAGES) for kind in kinds}
    for name, value in found.items():
        assert value.isfinite(), name
        if name.endswith('loss_cls'):
            assert value > 0
        elif 'loss' in name:
            assert (value > 0) == any(counts), name
    assert_all_trained(model)


def test_without_boxes_every_class_score_falls():
    model = build_model().double().train()
    before = losses_of(model, (0, 0, 0))
    torch.optim.SGD(model.parameters(), 1e-2).step()
    after = losses_of(model, (0, 0, 0))
    for stage in range(STAGES):
        assert after[f's{stage}.loss_cls'] < before[f's{stage}.loss_cls']


def test_a_batch_is_its_images(model):
    images, samples = make_images(SIZES), make_samples((3, 0, 2))
    with torch.no_grad():
        batched = model(images, samples, mode='tensor')
        for index in range(3):
            one = slice(index, index + 1)
            single = model(images[one], samples[one], mode='tensor')
            torch.testing.assert_close(single.logits, batched.logits[:, one], rtol=1e-9, atol=1e-10)
            torch.testing.assert_close(single.boxes, batched.boxes[:, one], rtol=1e-9, atol=1e-8)
            assert not torch.allclose(single.boxes, batched.boxes[:, (index + 1) % 3, None], atol=1)


def test_predictions_of_a_batch_are_those_of_its_images(model):
    images = make_images(SIZES)
    with torch.no_grad():
        batched = model.predict(images, make_samples())
        for index in range(3):
            (single,) = model.predict(images[index : index + 1], make_samples()[index : index + 1])
            found, expected = single.pred_instances, batched[index].pred_instances
            torch.testing.assert_close(found.scores, expected.scores, rtol=1e-9, atol=0)
            torch.testing.assert_close(found.bboxes, expected.bboxes, rtol=1e-9, atol=1e-8)
            assert found.labels.tolist() == expected.labels.tolist()


def test_more_boxes_than_proposals():
    model = build_model().double().train()
    seen = []
    assign = model.criterion.assigner.assign
    model.criterion.assigner.assign = lambda *args: seen.append(assign(*args)) or seen[-1]
    found = losses_of(model, (PROPOSALS + 5, 2, 0))
    assert_all_trained(model)
    assert all(value.isfinite() for value in found.values())
    for stage in range(STAGES):
        crowded = seen[0].proposal[stage][seen[0].image[stage] == 0]
        assert sorted(crowded.tolist()) == list(range(PROPOSALS))


def test_weights_that_diverged_show_in_the_losses_of_their_stages():
    def ill(counts):
        return {name for name, value in losses_of(model, counts).items() if not value.isfinite()}

    model = build_model().double().train()
    nn.init.constant_(model.roi_head.bbox_head[1].fc_reg.bias, float('nan'))
    assert (
        {'s1.loss_bbox', 's1.loss_iou'}
        <= ill((4, 2, 3))
        <= {f's{s}.loss_{n}' for s in (1, 2) for n in ('cls', 'bbox', 'iou')}
    )
    assert 's1.loss_bbox' in ill((0, 0, 0))
    nn.init.constant_(model.rpn_head.init_proposal_bboxes.weight, float('nan'))
    assert {'s0.loss_bbox', 's0.loss_cls'} <= ill((0, 2, 3))
    model.predict(make_images(SIZES), make_samples())  # testing such weights does not crash


def test_wrong_number_of_pyramid_levels():
    strides = [4, 8, 16, 32, 64]
    model = build_model({'model.neck.num_outs': 5, 'model.roi_head.roi_features.featmap_strides': strides})
    model.roi_head.roi_features.strides = torch.tensor(strides[:4])  # as with a neck that does not tell
    with pytest.raises(UserError, match=r'5 pyramid levels for 4 featmap_strides'):
        model.predict(make_images(SIZES, torch.float32), make_samples())


def test_wrong_number_of_stage_loss_weights():
    model = build_model({'model.criterion.stage_loss_weights': [1, 1]}).double()
    with pytest.raises(UserError, match=r'stage_loss_weights has 2 weights for 3 stages'):
        losses_of(model, (4, 2, 3))


def test_the_image_size_before_padding_counts(model):
    images = make_images(SIZES)
    small, large = make_sample((64, 90), 0), make_sample((96, 128), 0)
    with torch.no_grad():
        a, b = (model(images[:1], [sample], mode='tensor').boxes for sample in (small, large))
    assert not torch.allclose(a, b, atol=1)


def test_raw_images_go_through_the_steps_of_mmengine():
    model = build_model()
    generator = torch.Generator().manual_seed(3)
    inputs = [torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8) for size in SIZES]
    data = dict(inputs=inputs, data_samples=make_samples((3, 0, 2)))
    model.train()
    total, logged = model.parse_losses(model(**model.data_preprocessor(data, training=True), mode='loss'))
    assert total.isfinite()
    losses = [value for name, value in logged.items() if '.loss' in name]
    assert len(losses) == 3 * STAGES
    assert total.item() == pytest.approx(sum(value.item() for value in losses), rel=1e-5)
    model.eval()
    with torch.no_grad():
        results = model.test_step(dict(inputs=inputs, data_samples=make_samples()))
    assert [len(result.pred_instances) for result in results] == [PROPOSALS] * 3
    assert [result.batch_input_shape for result in results] == [(96, 128)] * 3


def test_what_it_has_in_the_words_of_mmdet(model):
    parts = ('neck', 'bbox', 'mask', 'shared_head')
    assert [getattr(model, f'with_{part}') for part in parts] == [True, True, False, False]
