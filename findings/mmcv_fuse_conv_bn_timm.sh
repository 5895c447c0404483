#!/usr/bin/env bash
# mmcv.cnn.fuse_conv_bn drops the activation of timm's batch norms that have one inside.
#
#   Found with  onedl-mmcv 2.3.6, timm 1.0.31, torch 2.11.0 (PyPI); mmcv-lite 2.1.0 has the same file
#   Expected    The network computes what it did before: in eval mode a norm is a factor and a summand of each channel,
#               which the convolution takes on. What does more than that stays as it is.
#   Behaviour   timm.layers.BatchNormAct2d, in EfficientNet, MobileNet and others of timm, is a BatchNorm2d that applies
#               an activation after it has normalised. By isinstance it is taken for a plain one, and an Identity takes
#               its place: the activation is gone, without an error or a warning. What such a network computes from then
#               on has little to do with what it computed before.
#   Source      mmcv/cnn/utils/fuse_conv_bn.py, fuse_conv_bn, isinstance(child, (_BatchNorm, SyncBatchNorm)); mmdet 3.3.0
#               calls it in mmdet/utils/benchmark.py, for tools/analysis_tools/benchmark.py --fuse-conv-bn
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet torch==2.11.0 timm==1.0.31 onedl-mmcv==2.3.6
# onedl-mmcv requires the build for desktops, which needs libGL.
"$folder/venv/bin/python" -m pip install --quiet --force-reinstall --no-deps opencv-python-headless==4.12.0.88

"$folder/venv/bin/python" - <<'PYTHON'
import copy

import timm
import torch
from mmcv.cnn import fuse_conv_bn
from torch import nn

torch.manual_seed(0)


@torch.no_grad()
def change(name, network, image):
    """How much other values the fused network gives, as a share of the largest one."""
    network = network.eval()
    before = network(image)
    after = fuse_conv_bn(copy.deepcopy(network))(image)
    share = ((after - before).abs().max() / before.abs().max()).item()
    least = f'least value {before.min():.3g} before and {after.min():.3g} after'
    print(f'{name}: {least}, changed by up to {share:.1e} of the largest')
    return share


image = torch.randn(2, 3, 64, 64)
plain = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
assert change('Conv2d, BatchNorm2d, ReLU', plain, image) < 1e-4
assert change('timm.layers.ConvNormAct', timm.layers.ConvNormAct(3, 8, 3), image) > 0.1
for name in ('resnet18', 'tf_efficientnet_lite0'):
    network = timm.create_model(name)
    network.train()
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = None
    with torch.no_grad():
        network(image)  # statistics become those of an image
    share = change(name, network, image)
    assert share < 1e-3 if name == 'resnet18' else share > 0.1, share
PYTHON

# Output seen, 2026-12-01:
#   Conv2d, BatchNorm2d, ReLU: least value 0 before and 0 after, changed by up to 2.4e-07 of the largest
#   timm.layers.ConvNormAct: least value 0 before and -2.39 after, changed by up to 9.9e-01 of the largest
#   resnet18: least value -0.869 before and -0.869 after, changed by up to 1.1e-06 of the largest
#   tf_efficientnet_lite0: least value -2.15 before and -3.64e+06 after, changed by up to 1.7e+06 of the largest
