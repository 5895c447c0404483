"""All formats of ResNet-50, 100 proposals, 6 stages beside the detector, for test_full_model.py: it takes gigabytes.

Usage: full_model.py FOLDER SHARED FORMAT… The files are written into FOLDER, OpenVINO's from the ONNX file there, as by
its writer. Prints JSON: of each format a list of, for each scale and number of images, what was found and what differs.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mmengine.config import Config
from torch import nn

from sparse_rcnn_ext.export import FORMATS, Detector
from sparse_rcnn_ext.export.check import TOLERANCES, compare, run_eager, run_file
from sparse_rcnn_ext.export.files import convert_to_openvino
from sparse_rcnn_ext.export.graph import DetectionGraph
from sparse_rcnn_ext.export.metadata import describe
from sparse_rcnn_ext.export.runtime.network_input import Batch
from tests.export.examples import build_detector, read_images, read_recipe

REPO = Path(__file__).resolve().parents[2]
BATCHES = (((160, 256), 1), ((160, 256), 3), ((320, 512), 1))
"""Scale, and number of images."""
TOLERANCE = TOLERANCES['float32']


def write(kind: str, folder: Path, recipe: Config, detector: nn.Module) -> Path:
    """The file of a format."""
    metadata = describe(recipe, detector, recipe.classes, dynamic=True, half=False)
    path = folder / f'full{FORMATS[kind].ending}'
    if kind == 'openvino':
        convert_to_openvino(folder / f'full{FORMATS["onnx"].ending}', metadata, path)
    else:
        FORMATS[kind].write(DetectionGraph(detector, metadata['pad_divisor']), metadata, path)
    return path


def compare_all(path: Path, expected: Callable[[Batch, tuple], list], images: list[np.ndarray]) -> list[dict]:
    """``expected(batch, key)`` is what the detector finds; of the same key it is the same."""
    file = Detector(path, threads=1)
    assert (file.metadata['stages'], file.metadata['proposals']) == (6, 100)
    rows = []
    for scale, count in BATCHES:
        file.metadata['resize']['scale'] = scale
        batch = file.prepare(images[:count])
        theirs = expected(batch, (scale, count))
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


def main(folder: str, shared: str, *kinds: str) -> None:
    images, recipe = read_images(Path(shared)), read_recipe(REPO)
    detector = build_detector(recipe)
    found = {}

    def expected(batch: Batch, key: tuple) -> list:
        if key not in found:
            found[key] = run_eager(detector, batch)
        return found[key]

    paths = {kind: write(kind, Path(folder), recipe, detector) for kind in kinds}
    print(json.dumps({kind: compare_all(path, expected, images) for kind, path in paths.items()}))


if __name__ == '__main__':
    main(*sys.argv[1:])
