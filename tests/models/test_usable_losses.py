"""Each of mmdet's losses works in the criterion as its definition says, or is refused by name when it is built."""

import inspect

import mmdet.models.losses
import pytest
import torch
from mmdet.registry import MODELS
from torch import nn

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.models.criterion import SparseRCNNCriterion
from sparse_rcnn_ext.models.sparse_roi_head import StageOutputs
from sparse_rcnn_ext.models.targets import MatchedPairs, Targets
from tests.models.small_model import CLASSES, small_config
from tests.reference.boxes import iou
from tests.reference.mmdet_losses import OF_BOXES, OF_CLASSES, OF_COORDINATES

# Whatever mmdet adds comes by itself.
LOSSES = sorted(
    name
    for name, kind in vars(mmdet.models.losses).items()
    if inspect.isclass(kind) and issubclass(kind, nn.Module) and MODELS.get(name) is kind
)
WORKING = {'loss_cls': OF_CLASSES, 'loss_bbox': OF_COORDINATES, 'loss_iou': OF_BOXES}
GUESSES = torch.tensor([[10.0, 20, 50, 70], [30, 5, 90, 45], [1, 2, 3, 4]])  # (N, 4)
TRUTH = torch.tensor([[33.0, 8, 80, 41], [-2, 18, 47, 66]])  # (G, 4)
LABELS = torch.tensor([2, 0])
PAIRS = ((0, 1), (1, 0))  # proposal, ground truth
SIZE = (120.0, 90.0)


def make_criterion(**settings: object) -> SparseRCNNCriterion:
    return MODELS.build({**small_config().model.criterion, **settings})


def run(criterion: SparseRCNNCriterion, logits: torch.Tensor) -> dict[str, torch.Tensor]:
    """The losses of one stage and one image, whose pairs are known; (N, K) logits."""
    outputs = StageOutputs(logits[None, None], GUESSES[None, None].clone())
    targets = Targets(TRUTH[None], LABELS[None], (2,), torch.tensor([SIZE * 2]))
    image = torch.zeros(1, 2, dtype=torch.long)
    pairs = MatchedPairs(image, *torch.tensor(PAIRS).T[:, None], weight=torch.ones(1, 2))
    return {name.removeprefix('s0.'): value for name, value in criterion.pair_losses(outputs, pairs, targets).items()}


def some_logits() -> torch.Tensor:
    return torch.linspace(-3, 2, 9).view(3, 3).flip(1)


def expected(kind: str, name: str, class_weight: tuple[float, ...] = (1, 1, 1)) -> float:
    """The sum over the definition, over the two matched boxes."""
    define = WORKING[kind][name]
    pairs = [(GUESSES[proposal].tolist(), TRUTH[target].tolist()) for proposal, target in PAIRS]
    if kind == 'loss_iou':
        return sum(define(*pair) for pair in pairs) / 2
    if kind == 'loss_bbox':
        return sum(define(abs(a - b) / side) for pair in pairs for a, b, side in zip(*pair, SIZE * 2)) / 2
    truth = torch.zeros(3, 3)
    for (proposal, target), pair in zip(PAIRS, pairs):
        truth[proposal, LABELS[target]] = iou(*pair) if name in ('QualityFocalLoss', 'VarifocalLoss') else 1
    rows = zip(some_logits().tolist(), truth.tolist())
    return sum(sum(w * define(*one) for w, *one in zip(class_weight, *row)) for row in rows) / 2


@pytest.mark.parametrize('kind', WORKING)
@pytest.mark.parametrize('name', LOSSES)
def test_works_or_is_refused(name, kind):
    taken = inspect.signature(MODELS.get(name)).parameters
    settings = {key: value for key, value in dict(num_classes=3).items() if key in taken}
    if name.startswith('CrossEntropy'):
        settings['use_sigmoid'] = True
    settings['type'] = name
    if name == 'BoundedIoULoss':
        settings['eps'] = 1e-6  # As of the others; it would be seen.
    if name in WORKING[kind]:
        criterion = make_criterion(**{kind: dict(loss_weight=3.0, **settings)})
        assert run(criterion, some_logits())[kind].item() == pytest.approx(3 * expected(kind, name), rel=1e-4)
        return
    with pytest.raises(UserError) as error:
        make_criterion(**{kind: settings})
    text = str(error.value)
    assert text.startswith(f'model.criterion.{kind} is {name}, which cannot work there: ')
    named = {word.rstrip(',;') for word in text.rpartition('set its type to ')[2].split() if 'Loss' in word}
    assert named and named <= {*WORKING[kind], 'sparse_rcnn_ext.CIoULoss'}


@pytest.mark.parametrize(
    ('settings', 'reason'),
    [
        (dict(), 'it does not lower the scores of proposals without an object'),
        (dict(use_mask=True), 'on a truth of shape (8, 3) it ends in '),
        (dict(use_sigmoid=True, ignore_index=1), 'it does not raise the score of the right class'),
    ],
)
def test_settings_that_make_a_loss_useless(settings, reason):
    with pytest.raises(UserError) as error:
        make_criterion(loss_cls=dict(type='CrossEntropyLoss', **settings))
    assert f'CrossEntropyLoss, which cannot work there: {reason}' in str(error.value)
    assert 'CrossEntropyLoss with use_sigmoid=True' in str(error.value)
    assert 'configs/sparse_rcnn/ablations/softmax.py' in str(error.value)


def test_probabilities_in_place_of_logits_are_refused():
    with pytest.raises(UserError, match='FocalLoss, which cannot work there: on a truth'):
        make_criterion(loss_cls=dict(type='FocalLoss', activated=True))


def test_class_weights_of_a_loss_that_has_none():
    weights = (0.5, 1.0, 4.0)
    criterion = make_criterion(loss_cls=dict(type='FocalLoss', class_weight=list(weights)))
    assert run(criterion, some_logits())['loss_cls'].item() == pytest.approx(
        expected('loss_cls', 'FocalLoss', weights), rel=1e-5
    )
    # No checkpoint tells of them.
    assert criterion.state_dict() == make_criterion().state_dict()


def test_class_weights_of_a_loss_that_weighs_itself():
    plain = run(make_criterion(loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True)), some_logits())['loss_cls']
    criterion = make_criterion(loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, class_weight=[3.0, 1.0, 1.0]))
    # Truth 1 has the class 0, in proposal 0; mmdet weighs what is matched alone.
    more = 2 * OF_CLASSES['CrossEntropyLoss'](some_logits()[0, 0].item(), 1) / 2
    assert run(criterion, some_logits())['loss_cls'].item() == pytest.approx(plain.item() + more, rel=1e-5)


def test_class_weights_where_a_loss_gives_no_number_for_each_class():
    with pytest.raises(UserError, match=r'QualityFocalLoss, .* gives \(8,\) numbers and not one for each proposal and'):
        make_criterion(loss_cls=dict(type='QualityFocalLoss', class_weight=[1.0, 2.0, 3.0]))


@pytest.mark.parametrize('name', ['FocalLoss', 'CrossEntropyLoss'])
def test_class_weights_of_other_classes(name):
    cfg = small_config()
    cfg.model.criterion.loss_cls = dict(type=name, use_sigmoid=True, class_weight=[1.0] * CLASSES)
    MODELS.build(cfg.model)
    cfg.model.criterion.loss_cls.class_weight = [1.0, 2.0]
    with pytest.raises(UserError, match=f'class_weight has 2 numbers for {CLASSES} classes: set it to as many as'):
        MODELS.build(cfg.model)


def test_class_weights_that_are_no_numbers():
    with pytest.raises(UserError, match=r"loss_cls\.class_weight is 'balanced': set it to a list, a number for each"):
        make_criterion(loss_cls=dict(type='FocalLoss', class_weight='balanced'))


@pytest.mark.parametrize('softmax', [True, False])
def test_stages_and_criterion_that_do_not_belong_together(softmax):
    cfg = small_config()
    if softmax:
        cfg.model.roi_head.bbox_head.type = 'sparse_rcnn_ext.SoftmaxDIIHead'
    else:
        cfg.model.criterion.type = 'sparse_rcnn_ext.SoftmaxCriterion'
        cfg.model.criterion.loss_cls = dict(type='sparse_rcnn_ext.NoObjectCrossEntropy')
    with pytest.raises(UserError) as error:
        MODELS.build(cfg.model)
    right = 'SoftmaxCriterion, which belongs to SoftmaxDIIHead' if softmax else 'SparseRCNNCriterion, which belongs to'
    assert f'set model.criterion.type to sparse_rcnn_ext.{right}' in str(error.value)


def test_softmax_criterion_takes_no_loss_of_mmdet():
    with pytest.raises(UserError, match=r"loss_cls\.type is mmdet's CrossEntropyLoss, .*NoObjectCrossEntropy'"):
        make_criterion(type='sparse_rcnn_ext.SoftmaxCriterion', loss_cls=dict(type='CrossEntropyLoss'))


@pytest.mark.parametrize('mode', [torch.no_grad(), torch.inference_mode(), torch.device('meta')])
def test_models_are_built_without_gradients_and_as_shapes_too(mode):
    with mode:
        make_criterion()


def test_losses_may_be_switched_off():
    settings = {'loss_cls': 'FocalLoss', 'loss_bbox': 'L1Loss', 'loss_iou': 'GIoULoss'}
    criterion = make_criterion(**{name: dict(type=kind, loss_weight=0.0) for name, kind in settings.items()})
    assert {getattr(criterion, name).loss_weight for name in settings} == {0.0}
