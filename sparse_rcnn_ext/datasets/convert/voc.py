"""Pascal VOC (Annotations/*.xml, ImageSets/Main/*.txt, JPEGImages/) to COCO.

globox reads the name and the box of an object. The rest is ours: globox takes an image's name and size from its XML,
where both are often wrong in data that travelled, drops the ``difficult`` flag, does not ask where pixels are counted
from, knows no splits, and ends at the first inverted box.
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from xml.parsers.expat import ExpatError

from tqdm import tqdm

from sparse_rcnn_ext.datasets.own_files import base_name
from sparse_rcnn_ext.errors import UserError

from .coco_json import NO_AREA, CocoJson, choose_classes
from .image_files import stored_size
from .voc_data import VocFile, VocFolder, find_voc_folders, read_voc_file, split_names

FROM_1 = 'XML files whose pixels count from 1, as their source says (--first-pixel 0: from 0)'
PROVEN_FROM_0 = 'XML files whose pixels count from 0, as a 0 or a fraction among all proves (--first-pixel 1: from 1)'
TAKEN_FROM_0 = (
    'XML files whose pixels are taken to count from 0, as with most tools; none tells (--first-pixel 1: from 1)'
)
WITHOUT_XML = 'images without an XML file, taken for empty'


def convert_voc(
    root: Path, splits: Sequence[str] | None, classes: Sequence[str] | None, first_pixel: int | None = None
) -> tuple[dict[str, CocoJson], str]:
    """Convert the splits of a VOC data set.

    VOC itself counts pixels from 1, and a box includes its last pixel: (xmin, ymin, xmax, ymax) has the edges
    (xmin − 1, ymin − 1, xmax, ymax). Nearly all other tools write the edges, counted from 0. Each file is read by what
    its source says, else as counting from 0. A difficult object becomes ``iscrowd``, which training and COCO's metric
    ignore.

    Args:
        root: Holds Annotations/ and JPEGImages/, and the lists of the splits in ImageSets/Main/; see
            :func:`find_voc_folders` for other layouts.
        splits: Names of lists, or of the folders of the splits; None: those of train, val, trainval and test that
            exist, and without any of them everything, as ``all``.
        classes: Class names in the order of their ids; None: all that the XML files hold, sorted. Either way, ids do
            not depend on ``splits``.
        first_pixel: 0 or 1, whatever the files say.

    Returns:
        By split; and the folder that file names are relative to, as a path from ``root``.

    Raises:
        UserError: If a folder, a list or a class is missing, a split ends up without images, or boxes are in pixels of
            another size than their image has.
    """
    folders = find_voc_folders(root)
    is_one = None in folders
    if splits and not is_one and (unknown := set(splits) - set(folders)):
        raise UserError(f'{root} has no folder for --split {", ".join(sorted(unknown))}; it has {", ".join(folders)}')
    parts = {split: _Part(folder) for split, folder in folders.items()}
    files = [file for part in parts.values() for file in part.files.values() if file]
    labels = {name for file in files for name, *_ in file.objects}
    classes = choose_classes(classes, labels, str(folders[None].annotations if is_one else root))
    proven = any(file.counts_from_0 for file in files if not file.counts_from_1)
    why_0 = PROVEN_FROM_0 if proven else TAKEN_FROM_0
    base = folders[None].images if is_one else root
    if is_one:
        part = parts[None]
        lists = split_names(root, splits, part.names)
        named = {split: (part, names) for split, names in lists.items()}
    else:
        named = {split: (parts[split], parts[split].names) for split in splits or parts}
    converted = {}
    for split, (part, names) in named.items():
        coco = CocoJson(classes, f'{split} of {root.name}, converted from Pascal VOC')
        for name in tqdm(names, desc=f'{split} images', unit='img', mininterval=1.0, disable=None):
            _add(coco, base, part, name, first_pixel, why_0)
        coco.require_images(f'the split {split} of {root}')
        converted[split] = coco
    return converted, '' if base == root else base.relative_to(root).as_posix()


class _Part:
    """The files of a folder: XML files by name, None for what is no XML, and images by name."""

    def __init__(self, folder: VocFolder) -> None:
        self.folder = folder
        self.images = folder.image_files()
        self.files: dict[str, VocFile | None] = {}
        bar = tqdm(folder.xml_files().items(), desc='annotations', unit='xml', mininterval=1.0, disable=None)
        for name, path in bar:
            try:
                self.files[name] = read_voc_file(path)
            except (ExpatError, ValueError, LookupError):  # the last two: an encoding that is none
                self.files[name] = None
        # Some images have another name than their XML, which knows it.
        for name, file in self.files.items():
            if file and name not in self.images:
                path = PurePosixPath(name).parent / base_name(file.file_name)
                stem = path.with_suffix('').as_posix() if path.suffix else ''
                if stem not in self.files and path.as_posix() in self.images.get(stem, ()):
                    self.images[name] = self.images.pop(stem)

    @property
    def names(self) -> list[str]:
        """Of XML files and images, without suffix: an image without an object has no XML with some tools."""
        return sorted({*self.files, *self.images})

    def image_of(self, name: str, file: VocFile | None) -> str:
        """The path of an image below the folder of images, whether it exists or not."""
        candidates = self.images.get(name, [f'{name}.jpg'])
        wanted = base_name(file.file_name) if file else ''
        return next((path for path in candidates if PurePosixPath(path).name == wanted), candidates[0])


def _add(coco: CocoJson, base: Path, part: _Part, name: str, first_pixel: int | None, why_0: str) -> None:
    """Add one image with its objects.

    Args:
        coco: Where to.
        base: The folder that file names are relative to.
        part: Where the image and its XML lie.
        name: Of both, without suffix.
        first_pixel: 0 or 1, or None: what the file's source says, else 0.
        why_0: What is said of the files that are read as counting from 0.
    """
    xml = f'{name}.xml'
    file = part.files.get(name)
    if name in part.files and file is None:
        coco.left_out['images whose annotation file is no XML'].append(xml)
        return
    if file and not file.is_complete:
        # Without one of its objects it would teach that there is none.
        coco.left_out['images with an object without a name or without four numbers for a box'].append(xml)
        return
    path = part.folder.images / part.image_of(name, file)
    size = coco.begin_image(base, path.relative_to(base).as_posix())
    if size is None:
        return
    if file is None:
        coco.noted[WITHOUT_XML].append(name)
        return
    if file.size not in (None, size):
        _check_size(xml, file, path, size)
        coco.noted['images whose XML gives another size than the file has, written with that of the file'].append(xml)
    if file.without_area:
        coco.left_out[NO_AREA] += [xml] * file.without_area
    if first_pixel is None:
        first_pixel = int(file.counts_from_1)
        if file.objects:
            coco.noted[FROM_1 if first_pixel else why_0].append(xml)
    for label, (xmin, ymin, xmax, ymax), difficult, truncated in file.objects:
        box = (xmin - first_pixel, ymin - first_pixel, xmax, ymax)
        extra = dict(difficult=int(difficult), truncated=int(truncated))
        coco.add_box(label, box, difficult, xml, extra)


def _check_size(xml: str, file: VocFile, path: Path, size: tuple[int, int]) -> None:
    """Refuse boxes in pixels of another size; a wrong entry alone, as data that travelled have, does no harm.

    Raises:
        UserError: If the image was scaled or turned since, or a box reaches over its border.
    """
    said = 'x'.join(map(str, file.size))
    there = 'x'.join(map(str, size))
    if file.size == stored_size(path):
        raise UserError(
            f'{xml} counts pixels of {said}, and {path}, which its EXIF tag turns, is read as {there}: remove the tag, '
            'or turn its boxes'
        )
    scale = [old / new for old, new in zip(file.size, size)]
    is_scaled = abs(scale[0] - scale[1]) < 0.01 * scale[0] and abs(scale[0] - 1) > 0.02
    if is_scaled or any(box[2] > size[0] + 1 or box[3] > size[1] + 1 for _, box, *_ in file.objects):
        raise UserError(
            f'{xml} counts pixels of {said}, and {path} has {there}: give the images that were labelled, or correct '
            'the size in the XML where its boxes fit the image'
        )
