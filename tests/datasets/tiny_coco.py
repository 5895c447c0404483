"""Small COCO files, and the images of them, written by the tests."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

WIDTH, HEIGHT = 80, 60
CAT, DOG = (4, 6, 30, 20), (40, 20, 24, 30)  # left, top, width, height


def image(number: int, name: str | None = None) -> dict:
    return dict(id=number, file_name=name or f'{number}.png', width=WIDTH, height=HEIGHT)


def box(number: int, image_id: int, category_id: int, bbox: Sequence[float], **more: object) -> dict:
    area = bbox[2] * bbox[3]
    return dict(id=number, image_id=image_id, category_id=category_id, bbox=list(bbox), area=area, iscrowd=0) | more


def categories(**ids: int) -> list[dict]:
    return [dict(id=key, name=name) for name, key in ids.items()]


def cats_and_dogs(num_images: int = 3, first: int = 0, **ids: int) -> dict:
    """A file whose images have a cat and a dog each; ``ids`` are its categories in their order."""
    ids = ids or dict(cat=3, dog=7)
    images = [image(number) for number in range(first, first + num_images)]
    boxes = [
        box(2 * entry['id'] + place, entry['id'], ids[name], where)
        for entry in images
        for place, (name, where) in enumerate((('cat', CAT), ('dog', DOG)), start=1)
    ]
    return dict(images=images, annotations=boxes, categories=categories(**ids))


def write(path: Path, content: object, image_folder: Path | None = None) -> Path:
    """Write a file, and into ``image_folder`` the images that it lists: a cat is dark, a dog bright."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding='utf-8')
    if image_folder is not None:
        image_folder.mkdir(parents=True, exist_ok=True)
        for entry in content['images']:
            pixels = np.random.default_rng(entry['id']).integers(100, 140, (HEIGHT, WIDTH, 3), dtype=np.uint8)
            for (left, top, width, height), value in ((CAT, 0), (DOG, 255)):
                pixels[top : top + height, left : left + width] = value
            cv2.imwrite(str(image_folder / entry['file_name']), pixels)
    return path
