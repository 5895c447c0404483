"""Makes mmengine load checkpoints without running code from them, wherever it does so.

Left alone, mmengine unpickles whatever ``torch.load(weights_only=True)`` refuses, unpickles all downloads, and runs as
Python the config text that a checkpoint holds: to resume, and in an inferencer that was given no config.
"""

from pathlib import Path

from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

from sparse_rcnn_ext.errors import UserError

from .checkpoint_file import MapLocation, read_checkpoint
from .trust import is_trusting

CONFIG_TEXT = 'config_text'
"""Where a loaded checkpoint keeps the text of its config; None of mmengine's parts looks there."""

# Where they look.
_EXECUTED = (('message_hub', 'runtime_info', 'cfg'), ('meta', 'cfg'), ('meta', 'config'))


def install_safe_loading() -> None:
    """Take the place of every scheme of ``CheckpointLoader``."""
    schemes = {
        '': load_from_local,
        'file://': load_from_local,
        ('http://', 'https://'): load_from_http,
        ('modelzoo://', 'torchvision://'): load_from_torchvision,
        ('open-mmlab://', 'openmmlab://'): load_from_openmmlab,
        'mmcls://': load_from_mmcls,
        ('pavi://', r'(\S+\:)?s3://', r'(\S+\:)?petrel://'): load_from_storage,
    }
    for prefixes, loader in schemes.items():
        CheckpointLoader.register_scheme(prefixes, loader, force=True)


def load_from_local(source: str, map_location: MapLocation = None) -> dict:
    """A file, see :func:`read_checkpoint`; its config text is put where nothing runs it, under ``CONFIG_TEXT``."""
    checkpoint = read_checkpoint(source, map_location)
    if not is_trusting():
        _set_config_text_aside(checkpoint)
    return checkpoint


def load_from_http(source: str, map_location: MapLocation = None) -> dict:
    """A download, verified."""
    return load_from_local(source, map_location)


def load_from_torchvision(source: str, map_location: MapLocation = None) -> dict:
    """A model of torchvision by name, ``torchvision://resnet50``."""
    return load_from_http(_look_up(source, mmengine_checkpoint.get_torchvision_models()), map_location)


def load_from_openmmlab(source: str, map_location: MapLocation = None) -> dict:
    """A model of OpenMMLab by name, ``open-mmlab://detectron2/resnet50_caffe``."""
    models = mmengine_checkpoint.get_external_models()
    renamed = mmengine_checkpoint.get_deprecated_model_names()
    place = _look_up(source, {**models, **{old: models[new] for old, new in renamed.items() if new in models}})
    if '://' not in place:
        place = str(Path(mmengine_checkpoint._get_mmengine_home(), place))
    return load_from_local(place, map_location)


def load_from_mmcls(source: str, map_location: MapLocation = None) -> dict:
    """The backbone of a classifier of OpenMMLab by name, ``mmcls://mobilenet_v2``."""
    checkpoint = load_from_http(_look_up(source, mmengine_checkpoint.get_mmcls_models()), map_location)
    return mmengine_checkpoint._process_mmcls_checkpoint(checkpoint)


def load_from_storage(source: str, map_location: MapLocation = None) -> dict:
    """Refuse a storage service: mmengine would unpickle what comes from it.

    Raises:
        UserError: Always.
    """
    raise UserError(f'{source} is in a storage service, from which nothing is loaded: copy it, and name the file')


def _look_up(source: str, places: dict[str, str]) -> str:
    scheme, _, name = source.partition('://')
    if not places.get(name):
        raise UserError(f'{scheme} has no model {name}: correct {source}, or name a file')
    return places[name]


def _set_config_text_aside(checkpoint: dict) -> None:
    for *path, last in _EXECUTED:
        owner = checkpoint
        for key in path:
            owner = owner.get(key) if isinstance(owner, dict) else None
        if isinstance(owner, dict) and last in owner:
            checkpoint.setdefault(CONFIG_TEXT, owner.pop(last))
