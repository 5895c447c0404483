"""What is wrong with the images of a data set."""

from collections.abc import Iterator, Sequence

import numpy as np

from sparse_rcnn_ext.datasets.image_files import DAMAGED, EMPTY, MISSING, NO_IMAGE, TOO_LARGE

from .facts import Facts, ImageFate
from .finding import Finding, Level, Noun, some_names

_UNREADABLE = {
    EMPTY: 'of 0 bytes',
    DAMAGED: 'cut off or damaged',
    NO_IMAGE: 'that cannot be read as an image',
}


def find_in_images(facts: Facts) -> Iterator[Finding]:
    """Go through the images of one data set."""
    source, annotations = facts.source, facts.annotations

    def finding(key: str, level: Level, names: Sequence[object], what: str, fix: str, file: str = '') -> Finding:
        noun = Noun.ENTRY if key == 'broken image entry' else Noun.IMAGE
        file = file or source.ann_file
        return Finding(key, level, source.name, file, len(names), noun, what, fix, some_names(names))

    if annotations.broken_images:
        what = 'of "images" without a usable id, file_name, width or height'
        fix = 'complete or remove the entries'
        yield finding('broken image entry', Level.ERROR, annotations.broken_images, what, fix)
    if annotations.repeated_images:
        ids = [f'id {image_id}' for image_id in annotations.repeated_images]
        fix = "give each image an id of its own, and its boxes that image_id: now one image has both's boxes"
        yield finding('image id repeated', Level.ERROR, ids, 'with the id of another', fix)
    if not facts.used.any():
        yield finding('no images', Level.ERROR, [], 'in use', f'add images, or change {source.setting}.filter_cfg')
    by_problem = {problem: _names(facts, problem) for problem in (MISSING, *_UNREADABLE)}
    if by_problem[MISSING]:
        what = f'not in {source.image_folder or "the current folder"}'
        fix = f'add the files, set {source.setting}.data_prefix, or remove the entries'
        yield finding('missing image', Level.ERROR, by_problem[MISSING], what, fix)
    for problem, what in _UNREADABLE.items():
        if by_problem[problem]:
            fix = 'copy the files again, or remove the entries'
            yield finding(f'image {problem}', Level.ERROR, by_problem[problem], what, fix, source.image_folder)
    for limit in dict.fromkeys(file.limit for file in facts.files.values() if file.problem == TOO_LARGE):
        names = [annotations.images[index].file_name for index, file in facts.files.items() if file.limit == limit]
        yield finding('image too large', Level.ERROR, names, *limit, source.image_folder)
    yield from _find_other_sizes(facts)
    yield from _find_repeats(facts)
    without = np.flatnonzero(facts.used)[facts.boxes_per_image() == 0]
    if len(without):
        names = [annotations.images[index].file_name for index in without]
        drops = 'filter_cfg leaves out only images without any entry of the classes'
        fix = drops if source.drop_empty else 'set filter_cfg=dict(filter_empty_gt=True) to leave them out'
        yield finding('image without boxes', Level.NOTE, names, 'in use without a box', fix)
    for fate in (ImageFate.EMPTY, ImageFate.SMALL, ImageFate.NOT_CHOSEN):
        names = [annotations.images[index].file_name for index in np.flatnonzero(facts.image_fate == fate)]
        if names:
            fix = f'change {source.setting}.filter_cfg or .indices to use them'
            yield finding(fate.value, Level.NOTE, names, fate.value, fix)


def _names(facts: Facts, problem: str) -> list[str]:
    return [facts.annotations.images[index].file_name for index, file in facts.files.items() if file.problem == problem]


def _find_other_sizes(facts: Facts) -> Iterator[Finding]:
    names, turned = [], 0
    for index, file in facts.files.items():
        image = facts.annotations.images[index]
        if file.problem is None and (file.width, file.height) != (image.width, image.height):
            names.append(
                f'{image.file_name}: {image.width:g}x{image.height:g} in the JSON, {file.width}x{file.height} as read'
            )
            turned += (file.height, file.width) == (image.width, image.height)
    if not names:
        return
    fix = 'write the sizes of the files, and see that the boxes are in their pixels'
    if turned:
        fix += f'; {turned} {"is" if turned == 1 else "are"} turned by EXIF: width and height are swapped'
    source = facts.source
    yield Finding(
        'size differs',
        Level.ERROR,
        source.name,
        source.ann_file,
        len(names),
        Noun.IMAGE,
        'of another size',
        fix,
        some_names(names),
    )


def _find_repeats(facts: Facts) -> Iterator[Finding]:
    source, images = facts.source, facts.annotations.images
    groups = [group for group in facts.images_by_content().values() if len(group) > 1]
    if not groups:
        return
    names = [' = '.join(dict.fromkeys(images[index].file_name for index in group)) for group in groups]
    count = sum(len(group) - 1 for group in groups)
    fix = 'keep one entry of each picture'
    yield Finding(
        'image repeated',
        Level.WARNING,
        source.name,
        source.ann_file,
        count,
        Noun.IMAGE,
        'with the same content as another',
        fix,
        some_names(names),
    )
