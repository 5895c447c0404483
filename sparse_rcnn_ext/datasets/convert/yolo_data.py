"""What a YOLO data set consists of: its classes, and where the images of each split are."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from sparse_rcnn_ext.errors import UserError

from .image_files import SUFFIXES, read_list

SPLITS = ('train', 'val', 'test')
WITHOUT_SPLITS = 'all'
_YAML = ('data.yaml', 'data.yml', 'dataset.yaml', 'dataset.yml')
_NAMES = ('classes.txt', 'obj.names')
_SPLIT_FOLDERS = {'train': ('train',), 'val': ('val', 'valid', 'validation'), 'test': ('test',)}


@dataclass
class YoloData:
    """A YOLO data set.

    Attributes:
        root: What all paths start from.
        names: Of the classes, by the number in the label files.
        splits: Of each split, the folders of images and the .txt lists of images.
        with_keypoints: Whether keypoints follow the box in a line of a label file.
        home: The folder that images have to be in; None: they may be anywhere.
    """

    root: Path
    names: dict[int, str]
    splits: dict[str, list[Path]]
    with_keypoints: bool = False
    home: Path | None = None


def read_yolo_data(path: Path, allow_outside: bool = False) -> YoloData:
    """Read a data.yaml as Ultralytics does, an obj.data as darknet does, or a folder with either or with a classes.txt.

    Where nothing says where the images of a split are, they are in images/SPLIT, SPLIT/images or SPLIT; without any of
    these all are in images or the folder itself, and the split is ``all``.

    Args:
        path: The file or the folder.
        allow_outside: Whether what it says may lead out of its folder: to any file of the machine.

    Raises:
        UserError: If it is no such file, lacks a key, or names a path that does not exist or leads out.
    """
    if path.is_dir():
        described = next((path / name for name in (*_YAML, 'obj.data') if (path / name).is_file()), None)
        if described:
            return read_yolo_data(described, allow_outside)
        return YoloData(path, _names_below(path), _find_splits(path))
    if not path.is_file():
        raise UserError(f'no file {path}: give the data.yaml of a YOLO data set, or its folder')
    if path.suffix == '.data':
        return _read_obj_data(path, allow_outside)
    if path.name in _NAMES:
        return YoloData(path.parent, _names_below(path.parent), _find_splits(path.parent))
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f'{path} is no YAML file: {" ".join(str(error).split())}') from error
    if not isinstance(content, dict):
        raise UserError(f'{path} holds no keys: a data.yaml has names and train, val or test')
    home = None if allow_outside else path.parent
    root = _root(path, content.get('path'), home)
    content.setdefault('val', content.get('validation'))
    names = _names(path, content)
    splits = {split: _locate(path, root, split, content[split], home) for split in SPLITS if content.get(split)}
    return YoloData(root, names, splits or _find_splits(root), 'kpt_shape' in content, home)


def _root(path: Path, given: str | None, home: Path | None) -> Path:
    beside = path.absolute().parent
    if not given:
        return beside
    for root in (beside / str(given), Path.cwd() / str(given)):
        if root.is_dir():
            require_inside(root, home, path)
            return root
    raise UserError(f'no folder {given}, which {path} gives as its path: set path to the root of the data set')


def _locate(path: Path, root: Path, split: str, given: str | list[str], home: Path | None) -> list[Path]:
    sources = []
    for name in map(str, given if isinstance(given, list) else [given]):
        # Roboflow writes ../train/images for a folder beside the data.yaml, and CVAT data/train.txt for a file there.
        candidates = [root / name, root / name.removeprefix('../'), root / name.removeprefix('data/')]
        sources.append(first_inside(candidates, home, path))
        if not sources[-1].exists():
            raise UserError(f'no {root / name}, which {path} gives for {split}: set path or {split} to where it is')
    return sources


def first_inside(candidates: Sequence[Path], home: Path | None, named_by: Path) -> Path:
    """Of the places that a name may mean, the first that is there, else the first.

    Args:
        candidates: The places.
        home: Only what is in this folder counts; None: all do.
        named_by: The file that has the name.

    Raises:
        UserError: If it is nowhere there, and may mean a place outside.
    """
    inside = [place for place in candidates if home is None or _is_inside(place, home)]
    found = next((place for place in inside if place.exists()), None)
    if found is None:
        require_inside(candidates[0], home, named_by)
    return found or candidates[0]


def require_inside(place: Path, home: Path | None, named_by: Path) -> None:
    """Raise UserError for a place outside ``home``, if that is a folder."""
    if home is not None and not _is_inside(place, home):
        raise UserError(
            f'{named_by} names {place}, which is outside of {home.absolute()}: give --allow-outside if what it names '
            'may be read'
        )


def _is_inside(place: Path, home: Path) -> bool:
    # By the names alone: a link that someone laid in the folder belongs to it.
    return Path(os.path.normpath(place.absolute())).is_relative_to(os.path.normpath(home.absolute()))


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


def _read_obj_data(path: Path, allow_outside: bool) -> YoloData:
    """The obj.data of darknet's YOLO, as CVAT writes it ("YOLO 1.1")."""
    pairs = (line.partition('=') for line in read_list(path))
    content = {key.strip(): value.strip() for key, equals, value in pairs if equals}
    if not content.get('names'):
        raise UserError(f'{path} needs a line names = FILE, and train, valid or test')
    home = None if allow_outside else path.parent
    (names,) = _locate(path, path.parent, 'names', content['names'], home)
    content.setdefault('val', content.get('valid'))
    splits = {split: _locate(path, path.parent, split, content[split], home) for split in SPLITS if content.get(split)}
    found = _names(names, dict(names=read_list(names)))
    return YoloData(path.parent, found, splits or _find_splits(path.parent), home=home)


def _names_below(folder: Path) -> dict[int, str]:
    """The classes of a folder without a description: one classes.txt, or several that count alike."""
    files = sorted(path for name in _NAMES for path in folder.rglob(name))
    if not files:
        there = ', '.join(sorted(f'{path.name}/' if path.is_dir() else path.name for path in folder.iterdir())[:12])
        raise UserError(
            f'{folder} has no data.yaml, no obj.data and no classes.txt, and so no names of its classes; '
            f'it has {there or "nothing"}: add a data.yaml with the line names: [FIRST, SECOND, …]'
        )
    longest = max(files, key=lambda file: len(read_list(file)))
    for file in files:
        if read_list(file) != read_list(longest)[: len(read_list(file))]:
            raise UserError(
                f'{file} and {longest} give one number different names: convert the folders one by one, or correct them'
            )
    return _names(longest, dict(names=read_list(longest)))


def _find_splits(root: Path) -> dict[str, list[Path]]:
    """The folders of images, by split."""
    splits = {}
    for split, names in _SPLIT_FOLDERS.items():
        folders = (root / pattern.format(name) for name in names for pattern in ('images/{}', '{}/images', '{}'))
        if found := next((folder for folder in folders if _has_images(folder)), None):
            splits[split] = [found]
    if not splits:
        whole = next((folder for folder in (root / 'images', root) if _has_images(folder)), None)
        if whole is None:
            raise UserError(f'{root} has no images: put them there in train, val and test, each or all in images/')
        splits[WITHOUT_SPLITS] = [whole]
    return splits


def _has_images(folder: Path) -> bool:
    return any(path.suffix.lower() in SUFFIXES for path in folder.rglob('*'))
