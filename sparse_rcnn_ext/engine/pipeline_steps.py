"""The transforms of a test pipeline, by what they are."""

from collections.abc import Sequence

from mmcv.transforms import LoadAnnotations as MMCVLoadAnnotations
from mmcv.transforms import LoadImageFromFile
from mmcv.transforms import Pad as MMCVPad
from mmcv.transforms import Resize as MMCVResize
from mmdet.datasets.transforms import LoadAnnotations, PackDetInputs, Pad, Resize
from mmengine.config import Config

from .config_parts import DEFAULT_SCOPE, part_class, part_name
from .data_paths import walk_datasets
from .errors import UserError

_USUAL = (LoadImageFromFile, Resize, MMCVResize, Pad, MMCVPad, LoadAnnotations, MMCVLoadAnnotations, PackDetInputs)


def find_pipeline(cfg: Config) -> list[dict]:
    """The settings of the transforms that a config tests with, of several data sets the first one's; empty without."""
    for _, dataset in walk_datasets(cfg.get('test_dataloader'), 'test_dataloader'):
        if dataset.get('pipeline'):
            return dataset['pipeline']
    return []


def pipeline_of_tests(cfg: Config) -> list[dict]:
    """As :func:`find_pipeline`; raises UserError where there is none."""
    if pipeline := find_pipeline(cfg):
        return pipeline
    raise UserError(f'{cfg.filename} has no test_dataloader.dataset.pipeline, which says how images are read')


def step_name(step: dict, scope: str = DEFAULT_SCOPE) -> str:
    """``'Resize'`` of mmdet's or mmcv's Resize, however the config names it, and so on for what pipelines usually have;
    of other transforms the type as the config has it."""
    kind = part_class(step, 'test_dataloader', scope)
    return kind.__name__ if kind in _USUAL else part_name(step)


def usual_steps(pipeline: Sequence[dict], scope: str = DEFAULT_SCOPE) -> dict[str, dict]:
    """The transforms of a pipeline by :func:`step_name`, in their order; of those that stand in it twice, the last."""
    return {step_name(step, scope): step for step in pipeline}
