"""Images, videos and detectors that tests look at."""

from collections.abc import Sequence
from pathlib import Path, PurePath

import cv2
import numpy as np
import torch
from mmengine.structures import InstanceData
from PIL import Image

from sparse_rcnn_ext.prediction import LoadedImage, Source, read_image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (230, 230, 230)


def corners_picture(height: int = 40, width: int = 60) -> Image.Image:
    """Red, green, blue and white quarters, in reading order: every turn and mirroring of it differs."""
    pixels = np.zeros((height, width, 3), np.uint8)
    for rows, row in ((slice(None, height // 2), (RED, GREEN)), (slice(height // 2, None), (BLUE, WHITE))):
        for columns, color in zip((slice(None, width // 2), slice(width // 2, None)), row):
            pixels[rows, columns] = color
    return Image.fromarray(pixels)


def blob_image(boxes: Sequence[Sequence[int]], height: int, width: int) -> np.ndarray:
    """(H, W, 3) uint8: white rectangles, xyxy in whole pixels, on black."""
    image = np.zeros((height, width, 3), np.uint8)
    for left, top, right, bottom in boxes:
        image[top:bottom, left:right] = 255
    return image


def write_video(path: Path, frames: Sequence[np.ndarray], fps: float, codec: str = 'mp4v') -> None:
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()


def source(path: Path | str | int, name: str | None = None) -> Source:
    """A file, or webcam by number; its name is the file's own if not given."""
    path = Path(path) if isinstance(path, str) else path
    return Source(path, PurePath(name or Path(str(path)).name))


def in_memory(image: np.ndarray) -> LoadedImage:
    """An image (H, W, 3) uint8 BGR as if a pipeline had read it."""
    return LoadedImage(image, dict(img=image))


def detections(*rows: Sequence[float]) -> InstanceData:
    """Each row: xyxy, score, label."""
    table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)
    return InstanceData(bboxes=table[:, :4], scores=table[:, 4], labels=table[:, 5].long())


class BlobDetector:
    """Finds white blobs, unless they touch the image's border or are too small for it.

    Args:
        least: The least side of a blob, as a share of the image's longer side.
    """

    classes = ('blob', 'other')

    def __init__(self, least: float = 0.0) -> None:
        self.least = least
        self.batches: list[int] = []

    def read(self, path: Path) -> LoadedImage:
        return self.take(read_image(path))

    def take(self, image: np.ndarray) -> LoadedImage:
        return in_memory(image)

    def predict(self, images: Sequence[LoadedImage | np.ndarray]) -> list[InstanceData]:
        self.batches.append(len(images))
        return [self._find(getattr(image, 'picture', image)) for image in images]

    def _find(self, image: np.ndarray) -> InstanceData:
        height, width = image.shape[:2]
        _, _, stats, _ = cv2.connectedComponentsWithStats((image[..., 0] > 128).astype(np.uint8))
        rows = []
        for left, top, w, h, _ in stats[1:].tolist():
            inside = left > 0 and top > 0 and left + w < width and top + h < height
            if inside and min(w, h) >= self.least * max(height, width):
                rows.append((left, top, left + w, top + h, 0.9, 0))
        return detections(*rows)
