"""The data.yaml of a YOLO data set: where its images are and what its classes are called."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from sparse_rcnn_ext.engine.errors import UserError

SPLITS = ('train', 'val', 'test')


@dataclass(frozen=True)
class YoloData:
    """A data.yaml, read.

    Attributes:
        root: The folder that its relative paths start from.
        names: Class name by the index that label files use, in the order of the indices.
        splits: Of each split, the folders of images and the .txt lists of images.
        with_keypoints: Whether keypoints follow the box in a line of a label file.
    """

    root: Path
    names: dict[int, str]
    splits: dict[str, list[Path]]
    with_keypoints: bool


def read_yolo_data(path: Path) -> YoloData:
    """Read a data.yaml as Ultralytics does.

    Raises:
        UserError: If it is no such file, lacks a key, or names a path that does not exist.
    """
    if not path.is_file():
        raise UserError(f'no file {path}: give the data.yaml of a YOLO data set')
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f'{path} is no YAML file: {" ".join(str(error).split())}') from error
    if not isinstance(content, dict):
        raise UserError(f'{path} holds no keys: a data.yaml has names and train, val or test')
    root = _root(path, content.get('path'))
    content.setdefault('val', content.get('validation'))
    splits = {split: _locate(path, root, split, content[split]) for split in SPLITS if content.get(split)}
    if not splits:
        raise UserError(f'{path} has none of the keys {", ".join(SPLITS)}, which say where the images are')
    return YoloData(root, _names(path, content), splits, 'kpt_shape' in content)


def _root(path: Path, given: str | None) -> Path:
    beside = path.absolute().parent
    if not given:
        return beside
    for root in (beside / str(given), Path.cwd() / str(given)):
        if root.is_dir():
            return root
    raise UserError(f'no folder {given}, which {path} gives as its path: set path to the root of the data set')


def _locate(path: Path, root: Path, split: str, given: str | list[str]) -> list[Path]:
    sources = []
    for name in map(str, given if isinstance(given, list) else [given]):
        # Roboflow writes ../train/images for a folder beside the data.yaml.
        candidates = [root / name, root / name.removeprefix('../')]
        source = next((candidate for candidate in candidates if candidate.exists()), None)
        if source is None:
            raise UserError(f'no {root / name}, which {path} gives for {split}: set path or {split} to where it is')
        sources.append(source)
    return sources


def _names(path: Path, content: dict) -> dict[int, str]:
    names = content.get('names')
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names or not all(str(index).isdecimal() for index in names):
        raise UserError(f'{path} needs names: the list of the class names, or a mapping from 0, 1, … to them')
    names = {int(index): str(name) for index, name in sorted(names.items(), key=lambda item: int(item[0]))}
    if len(set(names.values())) < len(names):
        raise UserError(f'{path} gives two classes one name: {", ".join(names.values())}')
    if content.get('nc') not in (None, len(names)):
        raise UserError(f'{path} says nc: {content["nc"]}, but has {len(names)} names: {", ".join(names.values())}')
    return names
