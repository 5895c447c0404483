"""An exported file in place of a checkpoint."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.structures import InstanceData

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.export.runtime import Detector

from .image_file import read_image
from .pipeline import LoadedImage


class ExportedPredictor:
    """Finds in files and images what a file of ``tools/deploy/export.py`` finds, as :class:`Predictor` does.

    Images are read as 8-bit colour ones, whatever the config's own loader makes of them.

    Args:
        path: Ends in .onnx, .xml, .torchscript or .tflite.
        batch_size: Images at a time.

    Raises:
        UserError: If it cannot be opened.
    """

    def __init__(self, path: str, batch_size: int = 1) -> None:
        try:
            self._file = Detector(path, torch.get_num_threads())
        except (OSError, ValueError) as error:
            raise UserError(str(error)) from error
        except ModuleNotFoundError as error:
            raise UserError(f'{error}: pip install -r requirements/deploy.txt') from error
        self._batch_size = batch_size
        self.classes = self._file.classes

    def read(self, path: Path) -> LoadedImage:
        """Load a file; raises UnreadableError if that cannot be done."""
        return self.take(read_image(path))

    def take(self, image: np.ndarray) -> LoadedImage:
        """Put an image (H, W, 3) uint8 BGR in place of a file."""
        size = image.shape[:2]
        return LoadedImage(image, dict(img=image, img_shape=size, ori_shape=size))

    def predict(self, images: Sequence[LoadedImage | np.ndarray]) -> list[InstanceData]:
        """As :meth:`Predictor.predict`; images that the network gets in the same size share a batch."""
        loaded = [image if isinstance(image, np.ndarray) else image.results['img'] for image in images]
        rgb = [np.ascontiguousarray(image[..., ::-1]) for image in loaded]
        return [
            InstanceData(
                bboxes=torch.from_numpy(found.boxes),
                scores=torch.from_numpy(found.scores),
                labels=torch.from_numpy(found.labels),
            )
            for found in self._file.detect(rgb, score_thr=0, batch_size=self._batch_size)
        ]
