"""A tiny detector and the files made of it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config

from sparse_rcnn_ext.export import FORMATS
from sparse_rcnn_ext.export.files import convert_to_openvino
from sparse_rcnn_ext.export.graph import DetectionGraph
from sparse_rcnn_ext.export.metadata import describe
from sparse_rcnn_ext.models import SparseRCNN
from tests.export.examples import TINY, build_detector, read_recipe

Export = Callable[..., Path]


@pytest.fixture(scope='session')
def tiny_recipe(repo_dir: Path) -> Config:
    return read_recipe(repo_dir, options=TINY)


@pytest.fixture(scope='session')
def tiny_detector(tiny_recipe: Config) -> SparseRCNN:
    return build_detector(tiny_recipe)


@pytest.fixture(scope='session')
def export(tiny_recipe: Config, tiny_detector: SparseRCNN, made_once) -> Export:
    """``export(format, dynamic=…, half=…)``: a file of the tiny detector, written once; skips without its runtime."""

    def write(kind: str, dynamic: bool = True, half: bool = False) -> Path:
        for name in FORMATS[kind].packages + FORMATS[kind].runtimes:
            pytest.importorskip(name, reason='pip install -r requirements/deploy.txt')
        file = f'tiny{FORMATS[kind].ending}'

        def fill(folder: Path) -> None:
            metadata = describe(tiny_recipe, tiny_detector, tiny_recipe.classes, dynamic, half)
            if kind == 'openvino':
                # What its writer does but for another ONNX export of seconds.
                convert_to_openvino(write('onnx', dynamic, half), metadata, folder / file)
            else:
                FORMATS[kind].write(
                    DetectionGraph(tiny_detector, metadata['pad_divisor'], half), metadata, folder / file
                )

        return made_once(f'{kind}-{"dynamic" if dynamic else "fixed"}-{"half" if half else "single"}', fill) / file

    return write
