"""The walks of docs/architecture.md: short, and in the order in which the code runs."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate

from sparse_rcnn_ext.prediction import Predictor
from tests.datasets.tiny_coco import cats_and_dogs, write
from tests.models.small_model import SIZES, initialise

CLASSES = ('cat', 'dog', 'emu', 'fox', 'gnu')
STEP = re.compile(r'^\d+\. \[`(\w+\.py)`\]\(\.\./(\S+)\),\s`(\w+)`:', re.MULTILINE)


def read_walk(repo: Path, title: str) -> list[tuple[str, str]]:
    """Path and function of each step."""
    text = (repo / 'docs/architecture.md').read_text().partition(f'\n{title}:\n')[2].partition('\n\nA')[0]
    text = text.partition('\n## ')[0]
    steps = STEP.findall(text)
    assert [path.rpartition('/')[2] for _, path, _ in steps] == [name for name, _, _ in steps]
    assert len(steps) == len(re.findall(r'^\d+\. ', text, re.MULTILINE)) > 2
    return [(path, function) for _, path, function in steps]


def calls_of(repo: Path, run: Callable[[], object]) -> list[tuple[str, str]]:
    """Path and function of each call into the package while something runs, in their order."""
    found = []
    root = f'{repo}/'

    def note(frame, event, _):
        if event == 'call' and frame.f_code.co_filename.startswith(root):
            found.append((frame.f_code.co_filename.removeprefix(root), frame.f_code.co_name))

    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
    return found


def check_walk(repo: Path, title: str, most_files: int, run: Callable[[], object]) -> None:
    """Few short files, and every step is called after the one before it."""
    walk = read_walk(repo, title)
    assert len({path for path, _ in walk}) <= most_files
    assert max(len((repo / path).read_text().splitlines()) for path, _ in walk) <= 200
    calls = iter(calls_of(repo, run))
    assert [step for step in walk if not any(call == step for call in calls)] == []


@pytest.fixture(scope='module')
def recipe(tmp_path_factory, repo_dir, mmdet_scope) -> tuple[Config, Path]:
    """A small model of a recipe for tiny data, and the folder with those data and its checkpoint."""
    cfg = Config.fromfile(repo_dir / 'configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py')
    cfg.merge_from_dict({**SIZES, 'test_dataloader.dataset.pipeline.1.scale': (160, 96)})
    folder = tmp_path_factory.mktemp('walk')
    write(folder / 'train.json', cats_and_dogs(), folder / 'images')
    state = initialise(cfg, seed=3).state_dict()
    torch.save(dict(state_dict=state, meta=dict(dataset_meta=dict(classes=CLASSES))), folder / 'tiny.pth')
    cfg.filename = str(folder / 'tiny.py')
    return cfg, folder


def test_from_an_image_to_the_loss(recipe, repo_dir):
    cfg, folder = recipe
    model = initialise(cfg).train()
    settings = cfg.train_dataloader.dataset.to_dict() | dict(
        data_root=str(folder),
        ann_file='train.json',
        data_prefix=dict(img='images/'),
        metainfo=dict(classes=('cat', 'dog')),
    )

    def train() -> None:
        dataset = DATASETS.build(settings)
        batch = model.data_preprocessor(pseudo_collate([dataset[0], dataset[1]]), training=True)
        losses = model(**batch, mode='loss')
        assert losses['s0.loss_cls'].isfinite()

    check_walk(repo_dir, 'An image from its file to the loss', 10, train)


def test_from_an_image_to_detections(recipe, repo_dir):
    cfg, folder = recipe
    predictor = Predictor(cfg, str(folder / 'tiny.pth'), 'cpu')

    def detect() -> None:
        (found,) = predictor.predict([predictor.read(folder / 'images/0.png')])
        assert len(found) == 10

    check_walk(repo_dir, 'An image from its file to detections', 8, detect)


def test_from_a_checkpoint_to_the_model(recipe, repo_dir):
    cfg, folder = recipe
    run = lambda: Predictor(cfg, str(folder / 'tiny.pth'), 'cpu')  # noqa: E731
    check_walk(repo_dir, 'A checkpoint from the disk to the model', 4, run)
