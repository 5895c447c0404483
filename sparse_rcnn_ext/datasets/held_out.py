"""One annotation file for all images, of which a share is held out for validation."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.runner.base_loop import BaseLoop

from sparse_rcnn_ext.engine.checkpoints.atomic_file import write_atomically
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.registry import HOOKS

from .joined import innermost

PARTS = ('train', 'val')
FILE = 'held_out.txt'


def part_of(images: Sequence[dict], part: str, val_fraction: float, split_seed: int = 0) -> list[dict]:
    """The images of a part, in their order.

    Those held out are the ``val_fraction`` of all images, at least one, whose file names come first when hashed
    together with the seed: the same on every machine, whatever the order in the file, and nearly the same when images
    are added.

    Args:
        images: Of a COCO file, with ``file_name``.
        part: 'train' or 'val'.
        val_fraction: Between 0 and 1.
        split_seed: Another one holds out other images.

    Raises:
        UserError: If a setting is none of these, or a part would be empty.
    """
    check_fraction(val_fraction, split_seed)
    if part not in PARTS:
        raise UserError(f"the part of a held_out is {part!r}: set it to 'train' or 'val'")
    count = max(1, round(len(images) * val_fraction))
    if count >= len(images):
        raise UserError(
            f'val_fraction={val_fraction:g} of {len(images)} images holds out {count} and leaves none to learn from: '
            'give more images, or a smaller fraction'
        )
    ranked = sorted(range(len(images)), key=lambda place: (_hash(images[place]['file_name'], split_seed), place))
    held_out = set(ranked[:count])
    return [image for place, image in enumerate(images) if (place in held_out) == (part == 'val')]


def check_fraction(val_fraction: object, split_seed: object) -> None:
    """Raise UserError unless these are a number between 0 and 1, and a whole number."""
    if type(val_fraction) not in (int, float) or not 0 < val_fraction < 1:
        raise UserError(f'val_fraction is {val_fraction!r}: set it to a number between 0 and 1, such as 0.2')
    if type(split_seed) is not int:
        raise UserError(f'split_seed is {split_seed!r}: set it to a whole number')


def _hash(file_name: str, seed: int) -> bytes:
    return hashlib.sha256(f'{seed}/{file_name}'.encode(errors='surrogatepass')).digest()


@HOOKS.register_module()
class HeldOutHook(Hook):
    """Writes which images are held out of the one file for all (``val_fraction``) into the run's folder.

    ``held_out.txt`` has one a line, as they stand in the annotation files. Where training and validation have files of
    their own, nothing is written.
    """

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Write the file."""
        loop = runner._val_loop
        parts = innermost(loop.dataloader.dataset) if isinstance(loop, BaseLoop) else []
        names = [
            name for part in parts if getattr(part, 'held_out', None) is not None for name in part.held_out_names()
        ]
        if not names:
            return
        text = ''.join(f'{name}\n' for name in names)
        write_atomically(Path(runner.work_dir, FILE), text.encode(errors='surrogatepass'))
        runner.logger.info(f'{len(names)} images are held out for validation: {FILE} in {runner.work_dir} lists them.')
