"""The data sets that a config names, and what decides which of their boxes are trained on."""

import os.path
from dataclasses import dataclass, replace

from mmcv.transforms import LoadImageFromFile, Resize
from mmdet.datasets import CocoDataset as MMDetCocoDataset
from mmengine.config import Config
from mmengine.fileio import list_from_file

from sparse_rcnn_ext.datasets.coco_dataset import CocoDataset
from sparse_rcnn_ext.datasets.own_files import base_name
from sparse_rcnn_ext.engine.config.config_parts import is_part, part_class, part_name, scope_of
from sparse_rcnn_ext.engine.config.paths import walk_datasets
from sparse_rcnn_ext.errors import UserError


@dataclass(frozen=True)
class Source:
    """One COCO data set of a config."""

    name: str
    """``'train'``, ``'val, test'`` where two splits are the same, ``'train 1'`` where a split has several."""
    splits: tuple[str, ...]
    setting: str
    """Its dotted place in the config."""
    ann_file: str
    image_folder: str
    backend_args: dict | None
    classes: tuple[str, ...] | None
    """None: all categories of the file."""
    by_name: bool
    """Whether classes get their labels by name, as in our data set; in mmdet's their order in the file counts."""
    use_crowd: bool
    held_out: dict | None
    """Which part of the file's images it has; None: all."""
    base_names: bool
    """Whether images lie in the folder under the last part of their file names."""
    drop_empty: bool
    """Whether images without a box of the classes are left out."""
    min_size: float
    """Images with a shorter side, in pixels, are left out."""
    indices: int | tuple[int, ...] | None
    """Of the images that remain: the first so many, the last so many if negative, or those at these places."""
    color_type: str
    decoder: str
    """How the pipeline reads images: the ``flag`` and ``backend`` of ``mmcv.imfrombytes``."""
    scale: tuple[int, int] | None
    """Of the Resize before the network: width and height in pixels; None where there is no fixed one."""
    keep_ratio: bool

    @property
    def trains(self) -> bool:
        return 'train' in self.splits

    def path(self, file_name: str) -> str:
        """Where the image lies."""
        file_name = base_name(file_name) if self.base_names else file_name
        return os.path.join(self.image_folder, file_name)  # noqa: PTH118  (a pathlib.Path breaks s3://)


def find_sources(cfg: Config, splits: tuple[str, ...]) -> list[Source]:
    """Every COCO data set below the dataloaders of ``splits``, whatever wraps it; where val and test are equal, one.

    Raises:
        UserError: If there is none, or one is of another format, or has no usable classes.
    """
    sources: list[Source] = []
    for split in splits:
        nodes = list(walk_datasets(cfg.get(f'{split}_dataloader'), f'{split}_dataloader'))
        for number, (setting, node) in enumerate(nodes, start=1):
            name = f'{split} {number}' if len(nodes) > 1 else split
            source = _read_source(cfg, split, name, setting, node)
            twin = next((other for other in sources if _is_same(source, other)), None)
            if twin is None:
                sources.append(source)
            else:
                both = replace(twin, name=f'{twin.name}, {name}', splits=(*twin.splits, split))
                sources[sources.index(twin)] = both
    if not sources:
        raise UserError(f'the config defines no data set for {" or ".join(splits)}: set train_dataloader.dataset')
    return sources


def _is_same(one: Source, other: Source) -> bool:
    # What is trained on stays apart, so that a comparison finds it in the test data.
    return not other.trains and one == replace(other, name=one.name, splits=one.splits, setting=one.setting)


def _read_source(cfg: Config, split: str, name: str, setting: str, node: dict) -> Source:
    dataset_class, kind = part_class(node, f'{split}_dataloader', scope_of(cfg)), part_name(node)
    if dataset_class is None:
        raise UserError(f'{setting}.type is {kind}, which no registry knows: is it spelled right and imported?')
    if not issubclass(dataset_class, MMDetCocoDataset):
        raise UserError(
            f'{setting}.type is {kind}, which reads no COCO JSON, the format that is checked here: convert '
            "the annotations with one of tools/dataset/convert_*.py and set the type to 'sparse_rcnn_ext.CocoDataset'"
        )
    root = node.get('data_root') or ''
    prefix = node.get('data_prefix') or {}
    filters = (not node.get('test_mode') and node.get('filter_cfg')) or {}
    indices = node.get('indices')
    loader = _find_transform(node.get('pipeline') or [], LoadImageFromFile, scope_of(cfg)) or {}
    scale, keep_ratio = _network_scale(cfg, node)
    return Source(
        name=name,
        splits=(split,),
        setting=setting,
        ann_file=os.path.join(root, node.get('ann_file') or ''),  # noqa: PTH118
        image_folder=os.path.join(root, prefix.get('img', prefix.get('img_path', ''))),  # noqa: PTH118
        backend_args=node.get('backend_args'),
        classes=_read_classes(setting, node, dataset_class),
        by_name=issubclass(dataset_class, CocoDataset),
        use_crowd=bool(node.get('use_crowd', False)),
        held_out=node.get('held_out'),
        base_names=bool(node.get('base_names', False)),
        drop_empty=bool(filters.get('filter_empty_gt', False)),
        min_size=filters.get('min_size', 0),
        indices=tuple(indices) if isinstance(indices, (list, tuple)) else indices,
        color_type=loader.get('color_type', 'color'),
        decoder=loader.get('imdecode_backend', 'cv2'),
        scale=scale,
        keep_ratio=keep_ratio,
    )


def _read_classes(setting: str, node: dict, dataset_class: type) -> tuple[str, ...] | None:
    metainfo = {**dataset_class.METAINFO, **(node.get('metainfo') or {})}
    classes = metainfo.get('classes')
    if classes is None:
        return None
    if isinstance(classes, str) and os.path.isfile(classes):  # noqa: PTH113
        classes = list_from_file(classes)
    if not isinstance(classes, (list, tuple)) or not classes or not all(isinstance(name, str) for name in classes):
        raise UserError(f"{setting}.metainfo.classes is {classes!r}: set it to a tuple of names, such as ('person',)")
    return tuple(classes)


def _network_scale(cfg: Config, node: dict) -> tuple[tuple[int, int] | None, bool]:
    """Scale and ``keep_ratio`` of the first fixed Resize, of this data set or else of the one that validates."""
    nodes = [node]
    for split in ('val', 'test'):
        nodes += [other for _, other in walk_datasets(cfg.get(f'{split}_dataloader'), '')]
    for other in nodes:
        for step in other.get('pipeline') or []:
            scale = step.get('scale') if is_part(step, Resize, 'test_dataloader', scope_of(cfg)) else None
            if scale is not None:
                pair = (scale, scale) if isinstance(scale, int) else tuple(scale)
                return pair, bool(step.get('keep_ratio', False))
    return None, False


def _find_transform(node: object, kind: type, scope: str) -> dict | None:
    """The first transform of a pipeline of this class, inside wrapping transforms too."""
    if isinstance(node, dict):
        if is_part(node, kind, 'test_dataloader', scope):
            return node
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        return next((found for child in node if (found := _find_transform(child, kind, scope))), None)
    return None
