"""The transforms of a test pipeline, by what they are, and the size of the images that they make."""

from collections.abc import Sequence

from mmcv.transforms import LoadAnnotations as MMCVLoadAnnotations
from mmcv.transforms import LoadImageFromFile
from mmcv.transforms import Pad as MMCVPad
from mmcv.transforms import Resize as MMCVResize
from mmdet.datasets.transforms import LoadAnnotations, PackDetInputs, Pad, Resize
from mmengine.config import Config

from sparse_rcnn_ext.errors import UserError

from .config_parts import DEFAULT_SCOPE, part_class, part_name, scope_of
from .paths import walk_datasets

_USUAL = (LoadImageFromFile, Resize, MMCVResize, Pad, MMCVPad, LoadAnnotations, MMCVLoadAnnotations, PackDetInputs)
# They change nothing of what the network gets.
_ONLY_OF_DATA = {'LoadAnnotations', 'PackDetInputs'}


def find_pipeline(cfg: Config) -> list[dict]:
    """The settings of the transforms that a config tests with, of several data sets the first one's; empty without."""
    return next(iter(_pipelines(cfg).values()), [])


def pipeline_of_tests(cfg: Config) -> list[dict]:
    """As :func:`find_pipeline`.

    Raises:
        UserError: If there is none, or several data sets give the network their images differently: of an image alone
            nobody knows which of them it would have been in.
    """
    pipelines = _pipelines(cfg)
    if not pipelines:
        raise UserError(f'{cfg.filename} has no test_dataloader.dataset.pipeline, which says how images are read')
    (first, pipeline), *others = pipelines.items()
    scope = scope_of(cfg)
    for other, steps in others:
        if _for_network(steps, scope) != _for_network(pipeline, scope):
            raise UserError(
                f'{first}.pipeline and {other}.pipeline of {cfg.filename} give the network images in two ways: set '
                'test_dataloader.dataset to the data set whose way is meant'
            )
    return pipeline


def _pipelines(cfg: Config) -> dict[str, list[dict]]:
    """By the place of the data set that has it."""
    places = walk_datasets(cfg.get('test_dataloader'), 'test_dataloader')
    return {place: dataset['pipeline'] for place, dataset in places if dataset.get('pipeline')}


def _for_network(pipeline: Sequence[dict], scope: str) -> list[dict]:
    return [step for step in pipeline if step_name(step, scope) not in _ONLY_OF_DATA]


def step_name(step: dict, scope: str = DEFAULT_SCOPE) -> str:
    """``'Resize'`` of mmdet's or mmcv's Resize, however the config names it, and so on for what pipelines usually have;
    of other transforms the type as the config has it."""
    kind = part_class(step, 'test_dataloader', scope)
    return kind.__name__ if kind in _USUAL else part_name(step)


def usual_steps(pipeline: Sequence[dict], scope: str = DEFAULT_SCOPE) -> dict[str, dict]:
    """The transforms of a pipeline by :func:`step_name`, in their order; of those that stand in it twice, the last."""
    return {step_name(step, scope): step for step in pipeline}


def inference_size(cfg: Config) -> tuple[int, int]:
    """Height and width in pixels to which the test pipeline brings a landscape image, before batch padding.

    Raises:
        UserError: If there is no test pipeline, or none of its transforms says a size.
    """
    for transform in reversed(find_pipeline(cfg)):
        size = transform.get({'Resize': 'scale', 'Pad': 'size'}.get(step_name(transform, scope_of(cfg)), ''))
        if isinstance(size, int):
            return size, size
        if size is not None:
            # An image that keeps its ratio fits into the scale either way up.
            return (min(size), max(size)) if transform.get('keep_ratio') else (size[1], size[0])
    raise UserError(
        f'{cfg.filename} says no size in test_dataloader.dataset.pipeline: give one with --shape HEIGHT WIDTH'
    )


def padded_size(cfg: Config, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width after batch padding."""
    divisor = cfg.model.get('data_preprocessor', {}).get('pad_size_divisor', 1)
    return tuple(-(-side // divisor) * divisor for side in size)
