"""Random truth and detections that come at the evaluation's corners: ties, crowds, bounds of areas, nothing at all."""

import json
from pathlib import Path

import numpy as np
from numpy.random import Generator

SIDE = 300
# The bounds between small, medium and large, both sides of them, and what no range takes.
AREAS = (1024, 1024.0000001, 1023.9, 9216, 9215.99, 9216.1, 0, 2e10)
SIZES = ((32, 32), (96, 96), (33, 31), (16, 64), (0, 20))


def random_truth(generator: Generator, image_ids: list, category_ids: list, first_id: int = 1) -> dict:
    """A COCO file of up to 60 boxes; of several categories the last is without truth."""
    annotations = []
    for number in range(generator.integers(1, 60)):
        size = generator.choice(SIZES) if generator.random() < 0.4 else generator.uniform(1, 130, 2)
        corner = generator.integers(-5, 150, 2)
        box = [float(value) for value in (*corner, *size)]
        annotations.append(
            dict(
                id=first_id + number,
                image_id=image_ids[generator.integers(len(image_ids))],
                category_id=category_ids[generator.integers(max(1, len(category_ids) - 1))],
                bbox=box if generator.random() < 0.5 else [int(value) for value in box],
                area=box[2] * box[3] if generator.random() < 0.6 else float(generator.choice(AREAS)),
                iscrowd=int(generator.random() < 0.2),
            )
        )
    return dict(
        images=[dict(id=key, file_name=f'{key}.jpg', width=SIDE, height=SIDE) for key in image_ids],
        categories=[dict(id=key, name=f'class {key}') for key in category_ids],
        annotations=annotations,
    )


def random_results(generator: Generator, truth: dict) -> list[dict]:
    """Detections as CocoMetric keeps them, labels being places among the ascending ids, images shuffled.

    A box is found 0 to 3 times, more or less where it is; up to 150 boxes of an image are anywhere, also of one class.
    Every tenth image is not looked at, others are without detections.
    """
    labels = {key: place for place, key in enumerate(sorted(category['id'] for category in truth['categories']))}
    results = []
    for image in truth['images']:
        if generator.random() < 0.1:
            continue
        own = [entry for entry in truth['annotations'] if entry['image_id'] == image['id']]
        near = generator.permutation(np.repeat(np.arange(len(own)), generator.integers(0, 4, len(own))))
        boxes = np.array([own[place]['bbox'] for place in near], float).reshape(-1, 4)
        noise = generator.normal(size=boxes.shape) * generator.choice([0, 0, 0.02, 0.1, 0.3], (len(near), 1))
        boxes += noise * np.tile(boxes[:, 2:], 2)
        said = np.array([labels[own[place]['category_id']] for place in near], int)
        count = generator.choice([0, 0, 5, 30, 150])
        anywhere = np.concatenate([generator.uniform(0, 200, (count, 2)), generator.uniform(-2, 150, (count, 2))], 1)
        one = generator.integers(len(labels))
        more = np.full(count, one) if generator.random() < 0.5 else generator.integers(0, len(labels), count)
        boxes = np.concatenate([boxes, anywhere])
        boxes[:, 2:] += boxes[:, :2]
        # Two times of three a handful of scores, so that most are equal.
        scores = generator.choice([generator.random(len(boxes)), *generator.integers(0, 6, (2, len(boxes))) / 5])
        results.append(
            dict(
                img_id=image['id'],
                bboxes=boxes.astype(generator.choice([np.float32, np.float64])),
                scores=scores.astype(np.float32),
                labels=np.concatenate([said, more]),
            )
        )
    generator.shuffle(results)
    return results


def write_json(path: Path, content: object) -> str:
    path.write_text(json.dumps(content), encoding='utf-8')
    return str(path)
