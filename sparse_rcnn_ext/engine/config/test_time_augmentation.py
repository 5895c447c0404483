"""Switches test-time augmentation on in a config: several views of each image, and one set of detections."""

import math
from collections.abc import Sequence

from mmengine.config import Config

from sparse_rcnn_ext.errors import UserError

from .config_parts import DEFAULT_SCOPE, scope_of
from .input_images import step_name, usual_steps
from .paths import walk_datasets

TTA_MODEL = dict(type='sparse_rcnn_ext.BoxFusionTTA')
TTA_VIEWS = dict(ratios=(0.8, 1.0, 1.2), flip=True)
_KNOWN = {'Resize', 'Pad', 'LoadAnnotations', 'PackDetInputs'}
_AFTER_LOADING = ('Resize', 'Pad', 'PackDetInputs')


def switch_tta(cfg: Config) -> None:
    """Wrap ``cfg.model`` and replace the test pipeline.

    ``cfg.tta_model`` is the wrapper, mmdet's ``DetTTAModel`` or ours. ``cfg.tta_pipeline`` is the pipeline, as in
    mmdet; where a config has none, it is made of the test pipeline and ``cfg.tta_views``, the arguments of
    :func:`augment_pipeline`.

    Args:
        cfg: The config of a test, with all its other settings made.

    Raises:
        UserError: If no pipeline can be made of the test pipeline.
    """
    views = cfg.get('tta_views') or TTA_VIEWS
    for _, dataset in walk_datasets(cfg.test_dataloader, 'test_dataloader'):
        dataset['pipeline'] = cfg.get('tta_pipeline') or augment_pipeline(
            dataset['pipeline'], views['ratios'], views['flip'], scope_of(cfg)
        )
    divisor = (cfg.model.get('data_preprocessor') or {}).get('pad_size_divisor')
    if divisor:
        # A recipe may pad batches to its one test size, of which no view is a multiple. Whatever power of two the
        # network's strides need, up to 128, is kept.
        cfg.model.data_preprocessor.pad_size_divisor = math.gcd(divisor, 128)
    cfg.model = dict(cfg.get('tta_model') or TTA_MODEL, module=cfg.model)


def augment_pipeline(
    pipeline: Sequence[dict], ratios: Sequence[float], flip: bool, scope: str = DEFAULT_SCOPE
) -> list[dict]:
    """A test pipeline with several views of each image.

    Args:
        pipeline: What loads an image, any transforms; ``Resize`` by ``scale``, and where needed ``Pad`` to a square,
            ``LoadAnnotations``; at the end ``PackDetInputs``. Without a Resize, views are shares of the file's size.
        ratios: A view for each, at the test scale times this.
        flip: Each view also mirrored, left to right.
        scope: Where the registries look for the transforms' names.

    Raises:
        UserError: If the pipeline is another.
    """
    names = [step_name(step, scope) for step in pipeline]
    first = next((place for place, name in enumerate(names) if name in _AFTER_LOADING), len(names))
    loading = [step for step, name in zip(pipeline, names[:first]) if name != 'LoadAnnotations']
    known = [step for step, name in zip(pipeline, names) if name in _KNOWN]
    steps = usual_steps(known, scope)
    if (
        not loading
        or len(loading) + len(steps) != len(pipeline)
        or 'PackDetInputs' not in steps
        or ('Resize' in steps and 'scale' not in steps['Resize'])
        or ('Pad' in steps and not _pads_to_square(steps['Pad'], steps.get('Resize')))
    ):
        raise UserError(
            f'no views can be made of a test pipeline of {", ".join(names)}; needed are what loads the image, Resize '
            'by scale (or none), Pad to that scale where it is a square, LoadAnnotations, PackDetInputs: write '
            "tta_pipeline in the config, as in mmdet's examples"
        )
    if not ratios or min(ratios) <= 0:
        raise UserError(f'tta_views.ratios is {ratios!r}: give numbers above 0, such as (0.8, 1.0, 1.2)')
    if 'Resize' in steps:
        scale = _pair(steps['Resize']['scale'])
        resizes = [dict(steps['Resize'], scale=tuple(round(side * ratio) for side in scale)) for ratio in ratios]
    else:
        resizes = [dict(type='mmdet.Resize', scale_factor=float(ratio), keep_ratio=True) for ratio in ratios]
    # Before padding: where the padding lies on the left, boxes would not be mirrored about the image's middle.
    flips = [dict(type='mmdet.RandomFlip', prob=float(mirrored)) for mirrored in ((False, True) if flip else (False,))]
    # An image resized to fit a square has the square's side; each view gets its own.
    squares = []
    if 'Pad' in steps:
        squares = [dict(type='mmdet.Pad', pad_to_square=True, pad_val=steps['Pad'].get('pad_val', 0))]
    # After the flip: annotations stay in the pixels of the file.
    annotations = [steps['LoadAnnotations']] if 'LoadAnnotations' in steps else []
    pack = steps['PackDetInputs']
    keys = pack.get('meta_keys', ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))
    pack = dict(pack, meta_keys=tuple(dict.fromkeys((*keys, 'flip', 'flip_direction'))))
    tail = [[step] for step in (*squares, *annotations, pack)]
    return [*loading, dict(type='mmcv.TestTimeAug', transforms=[resizes, flips, *tail])]


def _pads_to_square(pad: dict, resize: dict | None) -> bool:
    """Whether an image, resized to fit a square, fills it up."""
    if pad.get('pad_to_square'):
        return True
    return resize is not None and bool(pad.get('size')) and len({*_pair(pad['size']), *_pair(resize['scale'])}) == 1


def _pair(sides: int | Sequence[int]) -> tuple[int, int]:
    return (sides, sides) if isinstance(sides, int) else tuple(sides)
