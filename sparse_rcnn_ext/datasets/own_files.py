"""Where the annotation files and the images of one's own data lie."""

import os
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from sparse_rcnn_ext.errors import UserError

# Where each split's file may lie, below the root: what Roboflow and RF-DETR write, then COCO's own layout, FiftyOne,
# Label Studio, Supervisely, what our conversions write when told so, and a flat folder.
_ANN_FILES = (
    '{split}/_annotations.coco.json',
    'annotations/instances_{split}2017.json',
    'annotations/instances_{split}.json',
    'annotations/{split}.json',
    '{split}/labels.json',
    '{split}/result.json',
    '{split}/annotations/*.json',
    'coco/{split}.json',
    '{split}.json',
)
# One file for all images: CVAT and datumaro, FiftyOne, Label Studio, Roboflow, and what our conversions write.
_WHOLE_FILES = (
    'annotations/instances_default.json',
    'annotations/instances_all.json',
    'annotations/annotations.json',
    'annotations/all.json',
    'labels.json',
    'result.json',
    '_annotations.coco.json',
    'annotations.json',
    'coco/all.json',
    'all.json',
)
WHOLE = 'default'
SPLITS = {'train': ('train',), 'val': ('val', 'valid'), 'test': ('test',)}
# Below the root too; the folder in which the file's first image lies is taken.
_IMAGE_FOLDERS = (
    '{split}',
    '{split}2017',
    '{split}/images',
    '{split}/data',
    '{split}/img',
    'images/{split}',
    'images/{split}2017',
    'images/default',
    'images',
    'Images',
    'JPEGImages',
    'data',
    '',
)
_SHOWN = 8


class ImageFolder(NamedTuple):
    """Where the images of an annotation file are."""

    prefix: str
    """The folder, from the root on."""
    base_names: bool
    """Whether they lie in it under the last part of their file names."""


def find_file(root: Path, split: str) -> tuple[str, str] | None:
    """The annotation file of a split, from the root on, and what it calls the split; None: there is no test split.

    Raises:
        UserError: If there is none, or several.
    """
    candidates = {pattern.format(split=name): name for pattern in _ANN_FILES for name in SPLITS[split]}
    found = _existing(root, candidates)
    if len(found) > 1:
        raise UserError(f'{root} has {len(found)} files for {split}, {", ".join(found)}: keep one of them there')
    if found:
        return found.popitem()
    if split == 'test':
        return None
    raise UserError(
        f'{root} has no annotation file for {split}; looked for '
        f'{", ".join(file for file, name in candidates.items() if name == split)}'
        f'{" (or valid for val)" if split == "val" else ""}: {_advice(root, split, [*candidates])}'
    )


def find_whole_file(root: Path) -> tuple[str, str]:
    """The annotation file of all images, from the root on, which may be called that of train; and what it calls them.

    Raises:
        UserError: If there is none, or several, or one for the validation.
    """
    of_split = {
        split: {pattern.format(split=name): name for pattern in _ANN_FILES for name in SPLITS[split]}
        for split in SPLITS
    }
    if others := _existing(root, of_split['val']):
        raise UserError(f'{root} has a file for val, {next(iter(others))}: leave val_fraction away, or remove the file')
    candidates = dict.fromkeys(_WHOLE_FILES, WHOLE) | of_split['train']
    found = _existing(root, candidates)
    if len(found) > 1:
        raise UserError(f'{root} has {len(found)} files for all images, {", ".join(found)}: keep one of them there')
    if not found:
        raise UserError(
            f'{root} has no annotation file for all images; looked for {", ".join(candidates)}: '
            f'{_advice(root, "train", [*candidates])}'
        )
    return found.popitem()


def _existing(root: Path, candidates: dict[str, str]) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): name
        for pattern, name in candidates.items()
        for path in sorted(root.glob(pattern))
        if path.is_file()
    }


def _advice(root: Path, split: str, candidates: list[str]) -> str:
    """What to do about a missing file, by what else is there."""
    if split == 'val':
        return 'give val_fraction=0.2 to hold out a fifth of the images, or list some there'
    if whole := [file for file in _WHOLE_FILES if (root / file).is_file()]:
        return f'give val_fraction=0.2 to hold out a fifth of the images of {whole[0]} for validation'
    there = sorted(path.relative_to(root).as_posix() for path in root.rglob('*.json'))
    if there:
        near = [(file, match) for file in there for match in get_close_matches(file, candidates, 1)]
        more = f' and {len(there) - _SHOWN} more' if len(there) > _SHOWN else ''
        move = f', such as {near[0][0]} to {near[0][1]}' if near else ''
        return f'move or rename one of those that are there ({", ".join(there[:_SHOWN])}{more}){move}'
    if any(root.rglob('*.xml')):
        return f'make one of the XML files that are there with tools/dataset/convert_voc.py {root} {root}'
    described = next((path for name in ('data.yaml', 'obj.data', 'classes.txt') for path in root.rglob(name)), None)
    if described:
        return f'make one of the YOLO labels that are there with tools/dataset/convert_yolo.py {described} {root}'
    return 'put one there'


def find_images(root: Path, file: str, name: str, content: dict) -> ImageFolder:
    """The folder that file names are relative to.

    Where an image is not found by its whole file name, its base name counts, if no two images of the file share one:
    Label Studio writes where images lay on its server.

    Args:
        root: The data's.
        file: The annotation file, from the root on.
        name: What it calls its split.
        content: Of the file.

    Raises:
        UserError: If the first image is not there.
    """
    if not content['images']:
        raise UserError(f'{root / file} lists no images: write the annotations anew')
    first = content['images'][0]['file_name']
    if Path(first).is_file() and Path(first).is_absolute():
        return ImageFolder('', False)
    folders = [pattern.format(split=name) for pattern in _IMAGE_FOLDERS]
    prefixes = [f'{folder}/' if folder else '' for folder in folders]
    for prefix in prefixes:
        if (root / prefix / first).is_file():
            return ImageFolder(prefix, False)
    for prefix in prefixes:
        if (root / prefix / base_name(first)).is_file():
            bases = {base_name(image['file_name']) for image in content['images']}
            if len(bases) == len(content['images']):
                return ImageFolder(prefix, True)
            raise UserError(
                f'{root} has no image {first}, the first in {file}; {prefix}{base_name(first)} is there, but '
                f'{len(content["images"])} images share {len(bases)} such names: write file names from a folder of '
                f'{root} on'
            )
    listed = ', '.join(folder or 'the folder itself' for folder in folders)
    raise UserError(f'{root} has no image {first}, the first in {file}; looked into {listed}: put the images there')


def require_inside(root: Path, file: str, images: ImageFolder, content: dict) -> None:
    """Raise UserError where an image of the file lies outside of the root."""
    top = os.path.abspath(root)  # noqa: PTH100  (resolve() would follow links, which may lead anywhere)
    for image in () if images.base_names else content['images']:
        place = os.path.normpath(os.path.join(top, images.prefix, image['file_name']))  # noqa: PTH118
        if not Path(place).is_relative_to(top):
            raise UserError(
                f'{root / file} names the image {image["file_name"]}, which is outside of {root}: set '
                'allow_outside=True if what it names may be read'
            )


def base_name(file_name: str) -> str:
    """The last part of a path, whichever system wrote it."""
    return PurePosixPath(file_name.replace('\\', '/')).name
