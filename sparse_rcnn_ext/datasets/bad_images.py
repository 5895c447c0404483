"""Images that cannot be used: which, why and how many; in training they may be left out."""

import logging
import time
from pathlib import Path

import torch
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log

from sparse_rcnn_ext.errors import UserError

from .image_files import ImageRequest, read_image

POLICIES = ('stop', 'skip')
_SECONDS_TO_COUNT = 5
_ALL_TOLD = 10
_MOST_IN_A_ROW = 100
_PACKAGES = ('mmcv', 'mmdet', 'sparse_rcnn_ext')


class ChecksImages:
    """Mixin, before mmdet's ``BaseDetDataset``: an image that cannot be read, or has another size than the annotations
    say, ends in a sentence; elsewhere it is an error of some library, or boxes in the wrong places.

    Nothing is read twice: only after a pipeline failed, the files that it asked for are looked at.

    Args:
        on_bad_image: 'stop', or 'skip': in training another image takes the place of a bad one, and the log names it
            and counts. A test or validation without some of its images would not be one, and stops in any case.
        args, kwargs: Of the data set.

    Raises:
        UserError: By ``dataset[index]``, if an image is bad and not skipped, 100 are in a row, or a transform fails.
    """

    def __init__(self, *args, on_bad_image: str = 'stop', **kwargs) -> None:
        if on_bad_image not in POLICIES:
            raise UserError(f"on_bad_image of the data set is {on_bad_image!r}: set it to 'stop' or 'skip'")
        self.on_bad_image = on_bad_image
        self._asked: dict[int, dict] | None = None
        self._in_a_row = 0
        self._bad = torch.zeros(0, dtype=torch.bool)
        super().__init__(*args, **kwargs)

    def full_init(self) -> None:
        """Read the annotations; see mmengine's BaseDataset."""
        super().full_init()
        if self.on_bad_image == 'skip' and len(self._bad) != len(self):
            # Workers are processes of their own, and the count is that of all.
            self._bad = torch.zeros(len(self), dtype=torch.bool).share_memory_()

    def get_data_info(self, idx: int) -> dict:
        """What the pipeline starts from for image ``idx``."""
        info = super().get_data_info(idx)
        if self._asked is not None:
            self._asked[info['sample_idx']] = info
        return info

    def prepare_data(self, idx: int) -> dict | None:
        """Run the pipeline on image ``idx``; None where the pipeline rejects it, or it is bad and skipped."""
        self._asked = {}
        try:
            sample = super().prepare_data(idx)
            bad = _other_size(sample, self._asked)
        except UserError:
            raise
        except Exception as error:
            bad = next(
                ((place, problem) for place, info in self._asked.items() if (problem := self._problem(info))), None
            )
            if bad is None:
                explain_failed_transform(error)
                raise
            if self.on_bad_image == 'stop' or self.test_mode:
                raise self._sentence(*bad) from error
        finally:
            self._asked = None
        if bad is None:
            self._in_a_row = 0
            return sample
        if self.on_bad_image == 'stop' or self.test_mode:
            raise self._sentence(*bad)
        self._skip(*bad)
        return None

    def _problem(self, info: dict) -> str | None:
        file = read_image(ImageRequest(info['img_path'], 'color', 'cv2', tuple((self.backend_args or {}).items())))
        if file.limit != ('', ''):
            return f'is {file.limit[0]} ({file.limit[1]})'
        if file.problem is None:
            return _size_problem((file.height, file.width), info)
        return f'is {file.problem}'

    def _sentence(self, place: int, problem: str) -> UserError:
        ends = time.monotonic() + _SECONDS_TO_COUNT
        looked = count = 1
        for other in range(len(self)):
            if time.monotonic() > ends:
                break
            if other != place:
                looked += 1
                count += self._problem(self.get_data_info(other)) is not None
        seen = f'{len(self)} images' if looked == len(self) else f'{looked} images looked at, of {len(self)},'
        skip = '' if self.test_mode else ", or set train_dataloader.dataset.on_bad_image='skip'"
        return UserError(
            f'the image {self.get_data_info(place)["img_path"]} {problem}; {count} of the {seen} in {self.ann_file} '
            f'cannot be used: mend or remove them (tools/dataset/check.py lists all){skip}'
        )

    def _skip(self, place: int, problem: str) -> None:
        self._in_a_row += 1
        path = self.get_data_info(place)['img_path']
        if self._in_a_row >= min(_MOST_IN_A_ROW, self.max_refetch):
            raise UserError(
                f'{self._in_a_row} images in a row of {self.ann_file} cannot be used; the last, {path}, {problem}: '
                'set data_root and data_prefix of the data set to where its images are'
            )
        if self._bad[place]:
            return
        self._bad[place] = True
        count = int(self._bad.sum())
        # One line for each of 100,000 would hide all others.
        if count <= _ALL_TOLD or count & (count - 1) == 0:
            print_log(
                f'the image {path} {problem}: skipped, as on_bad_image says; {count} of the {len(self)} images of '
                f'{Path(self.ann_file).name} so far',
                logger='current',
                level=logging.WARNING,
            )


def _other_size(sample: dict | None, asked: dict[int, dict]) -> tuple[int, str] | None:
    """Place and problem of a sample whose file has another size than the annotations say."""
    if not sample or not asked:
        return None
    packed = sample.get('data_samples', sample)
    # Of test-time augmentation there is one for each view.
    packed = packed[0] if isinstance(packed, list) else packed
    size = packed.get('ori_shape')
    # The others were asked for by its transforms; each has its own turn.
    place, info = next(iter(asked.items()))
    problem = None if size is None else _size_problem(size, info)
    return None if problem is None else (place, problem)


def _size_problem(size: tuple[int, ...], info: dict) -> str | None:
    if tuple(size[:2]) == (info['height'], info['width']):
        return None
    turned = ' as read, perhaps turned by EXIF' if tuple(size[1::-1]) == (info['height'], info['width']) else ''
    return f'is {size[1]}x{size[0]}{turned}, and the annotations say {info["width"]}x{info["height"]}'


def explain_failed_transform(error: Exception) -> None:
    """Raise a :class:`UserError` that names the transform in which ``error`` was raised, the innermost one.

    An error of a transform of the user's own is left to its traceback, which is what its author needs.
    """
    innermost, frame = None, error.__traceback__
    while frame is not None:
        owner = frame.tb_frame.f_locals.get('self')
        innermost = owner if isinstance(owner, BaseTransform) else innermost
        frame = frame.tb_next
    if type(innermost).__module__.partition('.')[0] not in _PACKAGES:
        return
    reason = f'{type(error).__name__}: {error}'.strip().splitlines()[0]
    text = ' '.join(repr(innermost).split())
    raise UserError(f'{text} of a pipeline fails ({reason}): correct its settings, or its place there') from error
