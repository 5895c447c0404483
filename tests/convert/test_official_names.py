"""Each name there has one of ours, and the way back leads to it."""

import pytest
import torch

from sparse_rcnn_ext.convert import is_softmax, official_to_ours, ours_to_official
from sparse_rcnn_ext.errors import UserError
from tests.convert.official_model import our_state

SOME = {
    'init_proposal_boxes.weight': 'rpn_head.init_proposal_bboxes.weight',
    'backbone.bottom_up.stem.conv1.norm.running_var': 'backbone.bn1.running_var',
    'backbone.bottom_up.res2.0.shortcut.weight': 'backbone.layer1.0.downsample.0.weight',
    'backbone.bottom_up.res4.22.conv3.norm.bias': 'backbone.layer3.22.bn3.bias',
    'backbone.fpn_lateral2.weight': 'neck.lateral_convs.0.conv.weight',
    'backbone.fpn_output5.bias': 'neck.fpn_convs.3.conv.bias',
    'head.head_series.5.self_attn.in_proj_bias': 'roi_head.bbox_head.5.attention.attn.in_proj_bias',
    'head.head_series.11.inst_interact.norm1.bias': 'roi_head.bbox_head.11.instance_interactive_conv.norm_in.bias',
    'head.head_series.0.norm1.weight': 'roi_head.bbox_head.0.attention_norm.weight',
    'head.head_series.0.reg_module.7.bias': 'roi_head.bbox_head.0.reg_fcs.7.bias',
    'head.head_series.0.class_logits.bias': 'roi_head.bbox_head.0.fc_cls.bias',
}


@pytest.mark.parametrize('overrides', [{}, {'model.backbone.depth': 101}, {'model.roi_head.num_stages': 12}])
def test_round_trip_of_all_names(overrides):
    ours = our_state(overrides)
    official = ours_to_official(ours, 'a.pth')
    kept = {name: value for name, value in ours.items() if not name.endswith('num_batches_tracked')}
    assert len(official) == len(kept) and not set(official) & set(ours)
    back = official_to_ours(official, 'a.pth')
    assert list(back) == list(kept)
    assert all(back[name] is value for name, value in kept.items())


def test_names():
    state = {name: torch.zeros(1) for name in SOME}
    assert list(official_to_ours(state, 'a.pth')) == list(SOME.values())
    assert list(ours_to_official(dict.fromkeys(SOME.values(), torch.zeros(1)), 'a.pth')) == list(SOME)


def test_official_golden_names(shared_dir):
    path = shared_dir / 'golden/official_tiny.pth'
    if not path.is_file():
        pytest.skip(f'no file {path}')
    names = torch.load(path, weights_only=True)['model']
    assert list(ours_to_official(official_to_ours(names, 'a'), 'a')) == list(names)


UNKNOWN = {
    'of another repository': (
        'transformer.encoder.weight',
        'strange are transformer.encoder.weight; give one of those',
    ),
    'almost right': ('head.head_series.x.norm1.weight', r'head\.head_series\.x\.norm1\.weight'),
    'a norm in the neck': ('backbone.fpn_lateral2.norm.weight', r'backbone\.fpn_lateral2\.norm\.weight'),
}


@pytest.mark.parametrize(('name', 'words'), UNKNOWN.values(), ids=UNKNOWN)
def test_unknown_names_are_refused(name, words):
    state = {**{name: torch.zeros(1) for name in SOME}, name: torch.zeros(1)}
    with pytest.raises(UserError, match=f'^a.pth .*{words}'):
        official_to_ours(state, 'a.pth')


def test_weights_of_the_softmax_come_and_go():
    """They are no weights of the network; both ways "no object" is the last class."""
    state = {name: torch.arange(6.0)[:, None] for name in [*SOME, 'head.head_series.0.class_logits.weight']}
    ours = official_to_ours({**state, 'criterion.empty_weight': torch.ones(6)}, 'a.pth')
    assert list(ours) == [*SOME.values(), 'roi_head.bbox_head.0.fc_cls.weight']
    back = ours_to_official(ours, 'a.pth', softmax=True)
    weights = back.pop('criterion.empty_weight')
    torch.testing.assert_close(weights, torch.tensor([1, 1, 1, 1, 1, 0.1]))
    assert back == state and 'criterion.empty_weight' not in ours_to_official(ours, 'a.pth')


@pytest.mark.parametrize(
    ('meta', 'softmax'),
    [
        (dict(softmax=True), True),
        (dict(cfg="bbox_head=dict(type='sparse_rcnn_ext.SoftmaxDIIHead')"), True),
        (dict(dataset_meta=dict(classes=list('abcde'))), True),
        (dict(dataset_meta=dict(classes=list('abcdef')), cfg='x'), False),
        (dict(dataset_meta=None), False),
        ({}, False),
    ],
)
def test_what_a_checkpoint_of_ours_tells(meta, softmax):
    assert is_softmax({'roi_head.bbox_head.0.fc_cls.weight': torch.zeros(6, 1)}, meta) == softmax


def test_parts_that_the_official_model_lacks():
    state = {name: torch.zeros(1) for name in [*SOME.values(), *(f'backbone.blocks.{i}.weight' for i in range(5))]}
    with pytest.raises(UserError, match=r'a.pth has parts .* backbone.blocks.2.weight and 2 more; give'):
        ours_to_official(state, 'a.pth')


@pytest.mark.parametrize('convert', [official_to_ours, ours_to_official])
def test_nothing_to_convert(convert):
    names = SOME.values() if convert is official_to_ours else SOME
    with pytest.raises(UserError, match=r'a.pth has .* names already: use it as it is'):
        convert(dict.fromkeys(names, torch.zeros(1)), 'a.pth')
