"""The one way from a file to the network: the test pipeline of the config, its loader included."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from mmcv.transforms import Compose, LoadImageFromFile
from mmcv.transforms import LoadAnnotations as MMCVLoadAnnotations

from sparse_rcnn_ext.datasets.image_loading import as_picture, load_image
from sparse_rcnn_ext.errors import UserError

from .image_file import TooLargeError, UnreadableError, explain, read_bytes, read_image

_OF_FRAMES = ('color', 'grayscale', 'unchanged')


class LoadedImage(NamedTuple):
    """An image as the pipeline's loader gives it."""

    picture: np.ndarray
    """(H, W, 3) uint8 BGR, for people, in the size of the file."""
    results: dict[str, Any]
    """What the rest of the pipeline takes."""

    def crop(self, left: int, top: int, right: int, bottom: int) -> 'LoadedImage':
        """A part of the image, in pixels.

        Raises:
            UnreadableError: If the loader does not give the image in the size of its file.
        """
        image = self.results['img']
        if image.shape[:2] != self.picture.shape[:2]:
            raise UnreadableError('the loader of the test pipeline gives it in another size, which cannot be sliced')
        part = np.ascontiguousarray(image[top:bottom, left:right])
        size = part.shape[:2]
        results = dict(self.results, img=part, img_shape=size, ori_shape=size)
        return LoadedImage(self.picture[top:bottom, left:right], results)


class InferencePipeline:
    """Files and frames through a test pipeline.

    A file goes through the pipeline's own loader, whatever that is, as in a test. Annotations are not looked for.
    Frames of a video and arrays take the place of what mmcv's LoadImageFromFile would have read of an 8-bit file.

    Args:
        pipeline: The settings of the transforms.
    """

    def __init__(self, pipeline: Sequence[dict]) -> None:
        steps = Compose(pipeline).transforms
        self._steps = [_of_local_files(step) for step in steps if not isinstance(step, MMCVLoadAnnotations)]
        self._loader = next((step for step in self._steps if isinstance(step, LoadImageFromFile)), None)

    def read(self, path: Path) -> LoadedImage:
        """Load a file. One of WebP that EXIF turns is turned, which OpenCV's decoder, and with it a test, does not.

        Raises:
            UnreadableError: If there is no such file, or the loader cannot read it.
            UserError: If the loader cannot read any file alone.
        """
        sample = dict(img_path=str(path), img_id=0, sample_idx=0, instances=[])
        if _is_usual(self._loader) and self._steps[0] is self._loader:
            return self._loaded(read_image(path), sample)
        read_bytes(path)
        log_level = cv2.setLogLevel(0)
        try:
            results, number = load_image(self._steps, sample)
        except KeyError as error:
            raise UserError(
                f'the test pipeline asks for {error} of an image before it is loaded, which a file alone does not '
                'have: predict with a pipeline whose loader needs img_path and no more'
            ) from error
        except ImportError as error:
            raise UserError(f'the loader of the test pipeline lacks a package: {error}') from error
        except UserError:
            raise
        except Exception as error:  # every decoder has errors of its own
            problem = explain(error)
            if type(self._loader) is not LoadImageFromFile and not isinstance(problem, TooLargeError):
                first_line = str(error).partition('\n')[0]
                problem = UnreadableError(f'the loader of the test pipeline says {type(error).__name__}: {first_line}')
            raise problem from error
        finally:
            cv2.setLogLevel(log_level)
        if results is None:
            raise UnreadableError('the loader of the test pipeline gives it up')
        if 'img' not in results:
            raise UserError('no transform of the test pipeline loads an image: give it one, such as LoadImageFromFile')
        return LoadedImage(as_picture(results), dict(results, next_step=number))

    def take(self, image: np.ndarray) -> LoadedImage:
        """An image in memory as if it had been read.

        Args:
            image: (H, W, 3) uint8 BGR.

        Raises:
            UserError: If nobody knows what the pipeline's loader would have made of it.
        """
        color = getattr(self._loader, 'color_type', None)
        if type(self._loader) is not LoadImageFromFile or self._loader is not self._steps[0] or color not in _OF_FRAMES:
            steps = ', '.join(type(step).__name__ for step in self._steps[:2])
            raise UserError(
                f'the test pipeline begins with {steps}: only LoadImageFromFile with a color_type of '
                f"{', '.join(_OF_FRAMES)} can take frames of a video or arrays; save them as the loader's files"
            )
        return self._loaded(image, dict(img_path=None, img_id=0, sample_idx=0, instances=[]))

    def finish(self, loaded: LoadedImage) -> dict[str, Any]:
        """The rest of the pipeline: what the data preprocessor takes.

        Raises:
            UnreadableError: If a transform gives the image up.
        """
        results = dict(loaded.results)
        for step in self._steps[results.pop('next_step') :]:
            results = step(results)
            if results is None:
                raise UnreadableError(f'{type(step).__name__} of the test pipeline gives it up')
        return results

    def _loaded(self, image: np.ndarray, sample: dict) -> LoadedImage:
        loader = self._loader
        given = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if loader.color_type == 'grayscale' else image
        given = given.astype(np.float32) if loader.to_float32 else given
        size = image.shape[:2]
        return LoadedImage(image, dict(sample, img=given, img_shape=size, ori_shape=size, next_step=1))


def _is_usual(loader: LoadImageFromFile | None) -> bool:
    """Whether a loader decodes files as :func:`read_image` does."""
    return type(loader) is LoadImageFromFile and (loader.color_type, loader.imdecode_backend) == ('color', 'cv2')


def _of_local_files(step: Any) -> Any:
    """A loader without the storage of the data set: what a user names lies here."""
    if not isinstance(step, LoadImageFromFile):
        return step
    local = copy.copy(step)
    local.backend_args = local.file_client_args = None
    return local
