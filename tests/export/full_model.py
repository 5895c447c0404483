"""One format of ResNet-50, 100 proposals, 6 stages beside the detector, for test_full_model.py: it takes gigabytes.

Usage: full_model.py FORMAT FOLDER SHARED. The file is written into FOLDER, an OpenVINO file from the ONNX file there,
as its writer does. Prints a list of JSON: for each scale and number of images, what was found and what differs.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from sparse_rcnn_ext.export import Detector
from sparse_rcnn_ext.export.check import TOLERANCES, run_eager, run_file
from sparse_rcnn_ext.export.comparison import compare
from sparse_rcnn_ext.export.files import ENDINGS, WRITERS, convert_to_openvino
from sparse_rcnn_ext.export.graph import DetectionGraph
from sparse_rcnn_ext.export.metadata import describe
from tests.export.examples import build_detector, read_images, read_recipe

REPO = Path(__file__).resolve().parents[2]
SCALES = ((160, 256), (256, 416), (384, 640))
TOLERANCE = TOLERANCES['float32']


def write(kind: str, folder: Path) -> tuple[Path, torch.nn.Module]:
    """The file, and the detector that it is made of."""
    recipe = read_recipe(REPO)
    detector = build_detector(recipe)
    metadata = describe(recipe, detector, recipe.classes, dynamic=True, half=False)
    path = folder / f'full{ENDINGS[kind]}'
    if kind == 'openvino':
        convert_to_openvino(folder / f'full{ENDINGS["onnx"]}', metadata, path)
    else:
        WRITERS[kind](DetectionGraph(detector, metadata['pad_divisor']), metadata, path)
    return path, detector


def compare_all(path: Path, detector: torch.nn.Module, images: list[np.ndarray]) -> list[dict]:
    file = Detector(path, threads=1)
    assert (file.metadata['stages'], file.metadata['proposals']) == (6, 100)
    rows = []
    for scale in SCALES:
        file.metadata['resize']['scale'] = scale
        for count in (1, 3):
            batch = file.prepare(images[:count])
            theirs = run_eager(detector, batch)
            differences = [compare(*pair, TOLERANCE) for pair in zip(run_file(file, batch), theirs, strict=True)]
            others = [compare(found, theirs[0], TOLERANCE) for found in theirs[1:]]
            rows.append(
                dict(
                    scale=scale,
                    within=[difference.is_within(TOLERANCE) for difference in differences],
                    compared=[difference.compared for difference in differences],
                    differences=[str(difference) for difference in differences],
                    least_score=float(min(found.scores.min() for found in theirs)),
                    labels=min(len(np.unique(found.labels)) for found in theirs),
                    others_within=[other.is_within(TOLERANCE) for other in others],
                )
            )
    return rows


def main(kind: str, folder: str, shared: str) -> None:
    path, detector = write(kind, Path(folder))
    print(json.dumps(compare_all(path, detector, read_images(Path(shared)))))


if __name__ == '__main__':
    main(*sys.argv[1:])
