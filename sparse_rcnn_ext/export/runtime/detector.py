"""From images in memory to detections, by an exported file."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .network_input import Batch, check_image, input_size, make_batch
from .sessions import PRECISIONS, Providers, open_session


class Detections(NamedTuple):
    """What was found in one image, best first."""

    boxes: np.ndarray
    """(D, 4) float32, xyxy in pixels of the image; they end at its border unless the file's ``clip_boxes`` is False."""
    scores: np.ndarray
    """(D,) float32, from 0 to 1."""
    labels: np.ndarray
    """(D,) int64, places in :attr:`Detector.classes`."""


class Detector:
    """A detector that ``tools/deploy/export.py`` wrote.

    Args:
        path: The file: .onnx is run by onnxruntime, .xml by openvino, .torchscript by torch, .tflite by LiteRT. All
            else that is needed, such as the classes and the size to which images are brought, stands in it.
        threads: CPU threads to use; None leaves it to the runtime, of which LiteRT takes one.
        providers: onnxruntime's execution providers for a .onnx, names or (name, options), the preferred one first;
            None is its CPU.
        precision: 'bf16' for a .xml computes in bfloat16 where the CPU can, faster and less exact.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is broken, or was not written by the tool, or other tools have since fixed its size to
            one that its images do not fit, or providers are given that onnxruntime lacks or for a file that it does
            not run, or a precision that the CPU lacks or for a file that openvino does not run.
    """

    def __init__(
        self,
        path: str | Path,
        threads: int | None = None,
        providers: Providers | None = None,
        precision: str = PRECISIONS[0],
    ) -> None:
        self.run, self.metadata, (self._batch_size, *_) = open_session(Path(path), threads, providers, precision)
        self.classes: tuple[str, ...] = tuple(self.metadata['classes'])

    def __call__(self, image: np.ndarray, score_thr: float = 0.05) -> Detections:
        """Detect objects in one image, (H, W, 3) uint8 RGB; detections of a lower score are left out."""
        return self.detect([image], score_thr)[0]

    def detect(self, images: Sequence[np.ndarray], score_thr: float = 0.05, batch_size: int = 8) -> list[Detections]:
        """Detect objects in any number of images of any sizes.

        Images share a batch if the network gets them in the same size: in each is found what is found in it alone,
        which zeros beside it would change.

        Args:
            images: Each (H, W, 3) uint8 RGB.
            score_thr: Detections of a lower score are left out.
            batch_size: Images at a time; a file of a fixed number takes so many.

        Returns:
            In the order of the images.

        Raises:
            ValueError: If an image is something else, or ``batch_size`` is less than one.
        """
        if batch_size < 1:
            raise ValueError(f'batch_size is {batch_size}: give at least 1')
        places: dict[tuple[int, int], list[int]] = {}
        for place, image in enumerate(images):
            check_image(image)
            places.setdefault(input_size(image.shape[:2], self.metadata), []).append(place)
        count = self._batch_size or batch_size
        found: dict[int, Detections] = {}
        for same in places.values():
            for first in range(0, len(same), count):
                part = same[first : first + count]
                found.update(zip(part, self._detect_batch([images[place] for place in part], score_thr), strict=True))
        return [found[place] for place in range(len(images))]

    def prepare(self, images: Sequence[np.ndarray]) -> Batch:
        """What the network gets for these images."""
        return make_batch(images, self.metadata)

    def _detect_batch(self, images: Sequence[np.ndarray], score_thr: float) -> list[Detections]:
        more = (self._batch_size or len(images)) - len(images)
        batch = self.prepare([*images, *[images[-1]] * more])
        outputs = zip(*self.run(batch.pixels, batch.sizes), batch.factors, strict=True)
        detections = []
        for image, (boxes, scores, labels, factors) in zip(images, outputs, strict=False):  # not of those filled up
            boxes = boxes / np.tile(factors, 2)
            kept = scores >= score_thr
            if self.metadata.get('clip_boxes'):
                height, width = image.shape[:2]
                boxes = np.minimum(boxes.clip(0), np.float32([width, height, width, height]))
                kept &= (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
            detections.append(Detections(boxes[kept], scores[kept], labels[kept]))
        return detections
