"""A detector, from a checkpoint read without running code from it, for files and for images in memory."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
from mmdet.apis import DetInferencer
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseTTAModel
from mmengine.structures import InstanceData
from torch import nn

from sparse_rcnn_ext.engine.checkpoints.checkpoint_file import read_checkpoint
from sparse_rcnn_ext.engine.checkpoints.state_fit import compare_states, refuse_official_names
from sparse_rcnn_ext.engine.config.config_parts import part_class, scope_of
from sparse_rcnn_ext.engine.config.input_images import channel_problem, pipeline_of_tests
from sparse_rcnn_ext.engine.config.paths import walk_datasets
from sparse_rcnn_ext.engine.config.run_config import check_device
from sparse_rcnn_ext.errors import UserError

from .image_file import UnreadableError
from .pipeline import InferencePipeline, LoadedImage


class Predictor(DetInferencer):
    """mmdet's DetInferencer, with checkpoints that are read safely and must fit.

    A call of mmdet's keeps all its results and pictures in memory, and stops at the first file that it cannot read.
    Here ``read`` and ``predict`` take the place of that: a batch of images at a time. What the network gets of a file
    is what it gets in a test: the test pipeline reads it.

    Args:
        cfg: The config of a test, with all its settings made, such as ``switch_tta``; of any detector of mmdet.
        checkpoint: A file or an address.
        device: ``'cpu'``, ``'cuda'``, ``'cuda:1'``; None takes the GPU if there is one.

    Raises:
        UserError: If the checkpoint or the device is not to be had, or does not fit, or the model finds no classes.
    """

    classes: tuple[str, ...]
    """Names of the classes, in the order of the labels."""

    def __init__(self, cfg: Config, checkpoint: str, device: str | None = None) -> None:
        if device is not None:
            check_device(device)
        super().__init__(cfg, checkpoint, device, scope=scope_of(cfg), show_progress=False)

    pipeline: InferencePipeline

    def read(self, path: Path) -> LoadedImage:
        """Load an image file as the test pipeline does, see :meth:`InferencePipeline.read`.

        Raises:
            UnreadableError: If that cannot be done, or the network takes other channels.
        """
        return self._checked(self.pipeline.read(path))

    def take(self, image: np.ndarray) -> LoadedImage:
        """Put an image (H, W, 3) uint8 BGR in place of a file, see :meth:`InferencePipeline.take`."""
        return self._checked(self.pipeline.take(image))

    def pack(self, images: Sequence[LoadedImage | np.ndarray]) -> dict[str, Any]:
        """A batch as the model's data preprocessor takes it, see :meth:`predict`."""
        loaded = [self.take(image) if isinstance(image, np.ndarray) else image for image in images]
        return self.collate_fn([self.pipeline.finish(image) for image in loaded])

    def predict(self, images: Sequence[LoadedImage | np.ndarray]) -> list[InstanceData]:
        """Detect objects in a batch of images.

        Args:
            images: Each of :meth:`read`, or (H, W, 3) uint8 BGR, of any size.

        Returns:
            For each image ``bboxes`` (D, 4) xyxy in its pixels, ``scores`` (D,) falling, ``labels`` (D,), on the CPU.
        """
        return [sample.pred_instances.cpu() for sample in self.forward(self.pack(images))]

    def _checked(self, loaded: LoadedImage) -> LoadedImage:
        image = loaded.results['img']
        if problem := channel_problem(self._detector, 1 if image.ndim == 2 else image.shape[2]):
            raise UnreadableError(f'it has {problem}')
        return loaded

    def _init_model(self, cfg: Config, weights: str, device: str = 'cpu') -> nn.Module:
        model = MODELS.build(cfg.model)
        detector = model.module if isinstance(model, BaseTTAModel) else model
        checkpoint = read_weights(weights)
        load_weights(detector, checkpoint, weights)
        self._detector = detector
        self.classes = class_names(checkpoint, cfg, _num_classes(detector))
        model.dataset_meta = dict(classes=self.classes, palette='random')
        model.cfg = cfg
        return model.to(device).eval()

    def _init_pipeline(self, cfg: Config) -> InferencePipeline:
        return InferencePipeline(pipeline_of_tests(cfg))

    def _init_collate(self, cfg: Config) -> Callable[[list[dict]], dict]:
        # mmengine's way to the same function warns of an empty registry.
        return pseudo_collate

    def _init_visualizer(self, cfg: Config) -> None:
        # Pictures are drawn elsewhere; mmengine's visualizers live as long as the process.
        return None


def _num_classes(detector: nn.Module) -> int:
    """Of the box head, wherever the detector has it; of several, as in a cascade, all have the same."""
    for name, part in detector.named_modules():
        # Other parts count something else: a proposal head knows one class.
        if 'bbox_head' in name.split('.') and type(getattr(part, 'num_classes', None)) is int:
            return part.num_classes
    raise UserError(f'a {type(detector).__name__} has no bbox_head with num_classes: give the config of a detector')


def read_weights(source: str) -> dict:
    """Read a checkpoint on the CPU, see :func:`~sparse_rcnn_ext.engine.checkpoints.checkpoint_file.read_checkpoint`.

    Raises:
        UserError: If it cannot be had, is no checkpoint, or could run code.
    """
    try:
        return read_checkpoint(source)
    except URLError as error:
        raise UserError(f'cannot download {source} ({error}): give a local copy of it') from error


def load_weights(detector: nn.Module, checkpoint: dict, path: str) -> None:
    """Load a checkpoint into a detector, all of it.

    Args:
        detector: The model.
        checkpoint: A state dict, or a dict that has one as ``state_dict``.
        path: Where it was read from, for the message.

    Raises:
        UserError: If a parameter differs or is missing.
    """
    refuse_official_names(checkpoint, path)
    state = checkpoint.get('state_dict', checkpoint)
    state = {name.removeprefix('module.'): value for name, value in state.items()}
    fit = compare_states(detector.state_dict(), state)
    if fit.phrases:
        raise UserError(f'{path} does not fit the config; {fit}: {fit.advice}')
    detector.load_state_dict(state, strict=False)


def class_names(checkpoint: dict, cfg: Config, num_classes: int) -> tuple[str, ...]:
    """The names of the classes in the order of the labels, of the checkpoint or, where it has none, of the config.

    Args:
        checkpoint: As the Runner of mmengine saves it, or of mmdet 2.
        cfg: The config of a test.
        num_classes: Of the model.

    Raises:
        UserError: If neither names as many.
    """
    meta = checkpoint.get('meta') or {}
    owners = [meta.get('dataset_meta') or {}, meta]
    for _, dataset in walk_datasets(cfg.get('test_dataloader'), 'test_dataloader'):
        kind = part_class(dataset, 'test_dataloader', scope_of(cfg))
        owners += [dataset.get('metainfo') or {}, getattr(kind, 'METAINFO', {})]
    for owner in owners:
        names = owner.get('classes') or owner.get('CLASSES') or ()
        names = (names,) if isinstance(names, str) else tuple(names)
        if len(names) == num_classes:
            return names
    raise UserError(
        f'neither the checkpoint nor the config has names for {num_classes} classes: '
        'set test_dataloader.dataset.metainfo.classes'
    )
