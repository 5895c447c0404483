"""The size of the images that a config tests on."""

from mmengine.config import Config

from sparse_rcnn_ext.engine.config_parts import scope_of
from sparse_rcnn_ext.engine.errors import UserError
from sparse_rcnn_ext.engine.pipeline_steps import find_pipeline, step_name


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
