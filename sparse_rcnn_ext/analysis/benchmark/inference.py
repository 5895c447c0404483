"""Inference end to end: from an image in memory to its detections."""

from statistics import median
from typing import NamedTuple

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from sparse_rcnn_ext.engine.config.input_images import input_channels
from sparse_rcnn_ext.engine.speed.fast_inference import fast_forward_stages
from sparse_rcnn_ext.errors import UserError

from .contestants import Contestant, build_pair, check_same_losses, make_batch
from .settings import Setting, random_image
from .timing import Point, Result, alternate, timed, timed_parts

WHOLE = 'image to detections'
TOLERANCE = 1e-3


class Inference:
    """Detections on the same images, again and again.

    Args:
        contestant: The detector; it is put into test mode.
        images: (3, H, W) each, bytes, in the host's memory.
    """

    def __init__(self, contestant: Contestant, images: list[Tensor]) -> None:
        self.contestant = contestant
        self.model = contestant.model
        self.images = images

    def run(self) -> list[InstanceData]:
        """The detections of each image."""
        self.model.eval()
        samples = []
        for image in self.images:
            size = tuple(image.shape[1:])
            samples.append(DetDataSample(metainfo=dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0))))
        with torch.no_grad(), self.contestant.precision():
            batch = self.model.data_preprocessor(dict(inputs=self.images, data_samples=samples))
            images = self.contestant.images(batch['inputs'])
            return [sample.pred_instances for sample in self.model.predict(images, batch['data_samples'])]

    def points(self) -> list[Point]:
        """Which methods are which part; the stages and the choice of the best are one, as mmdet has them in one."""
        return [
            (self.model.data_preprocessor, 'forward', 'preprocessing'),
            (self.model, 'extract_feat', 'backbone and neck'),
            (self.model, 'predict', 'stages and detections'),
        ]


class Difference(NamedTuple):
    """How far two sets of detections are apart."""

    score: float
    pixels: float
    """Of a box's corner."""


def measure_inference(setting: Setting) -> Result:
    """Seconds from images in memory (bytes) to detections in the pixels of the image, whole and by parts.

    With any option of ours alone, our side computes as :func:`fast_forward_stages` has it, and there are no parts.

    Raises:
        UserError: If losses or detections of the two differ, see :func:`check_same_detections`.
    """
    ours, theirs = build_pair(setting)
    check_same_losses(ours, theirs, *make_batch(setting, ours))
    generator = torch.Generator().manual_seed(setting.seed + 2)
    channels = input_channels(ours.model)
    images = [random_image(setting.size, generator, channels) for _ in range(setting.batch)]
    our_run, their_run = Inference(ours, images), Inference(theirs, images)
    is_fast = switch_fast(ours, setting)
    notes = [_check(our_run, their_run, setting)]

    device = setting.device
    measures = (timed(side.run, WHOLE, device) for side in (our_run, their_run))
    comparisons = alternate(*measures, setting.rounds, WHOLE, setting.warm_ups)
    if not is_fast:
        measures = (timed_parts(side.run, side.points(), device) for side in (our_run, their_run))
        comparisons += alternate(*measures, setting.rounds, f'{WHOLE} by parts')
    rates = [setting.batch / median(side) for side in (comparisons[0].ours, comparisons[0].theirs)]
    notes.append(f'Ours does {rates[0]:.1f} images a second, mmdet {rates[1]:.1f}.')
    return Result('inference', setting, comparisons, notes)


def switch_fast(ours: Contestant, setting: Setting) -> bool:
    """Let our side compute as tools/test.py does with the setting's options; False if there are none."""
    is_half = ours.dtype != torch.float32
    if not (is_half or setting.channels_last or setting.compile or setting.fuse_conv_bn):
        return False
    ours.model.forward_stages = fast_forward_stages(
        ours.model.eval(),
        fuse_conv_bn=setting.fuse_conv_bn,
        channels_last=setting.channels_last,
        dtype=setting.ours_dtype if is_half else None,
        # With this mode torch replays CUDA graphs.
        compile=dict(mode='reduce-overhead') if setting.compile and setting.device == 'cuda' else setting.compile,
    )
    # What remains outside of it is scores and boxes, in float32.
    ours.dtype = torch.float32
    return True


def _check(ours: Inference, theirs: Inference, setting: Setting) -> str:
    """Compare detections; a sentence on how far they are apart."""
    found = [ours.run(), theirs.run()]
    differences = [compare_detections(*pair) for pair in zip(*found, strict=True)]
    worst = Difference(*(max(values) for values in zip(*differences, strict=True)))
    text = f'Detections of both differ by {worst.score:.1e} in the score and {worst.pixels:.1e} pixels at most'
    if (setting.dtype, setting.ours_dtype) != ('float32', 'float32'):
        return f'{text}; that is a matter of precision here, and not checked.'
    check_same_detections(worst, max(setting.size))
    return f'{text}.'


def compare_detections(ours: InstanceData, theirs: InstanceData) -> Difference:
    """Largest differences of two sets of detections of one image, whatever their order.

    Scores are compared best to best, second to second. Then each detection of mmdet's is given the nearest of ours with
    its label. Where the last places are so close that either side may have chosen another one, they are left out.
    """
    if len(ours) != len(theirs):
        raise UserError(f'ours gives {len(ours)} detections of an image and mmdet {len(theirs)}: set max_per_img alike')
    our_scores, their_scores = (side.scores.float().sort(descending=True).values for side in (ours, theirs))
    score = (our_scores - their_scores).abs().max().item()
    kept = theirs.scores.float() > their_scores[-1] + 2 * score
    apart = (theirs.bboxes[kept, None].float() - ours.bboxes[None].float()).abs().amax(-1)  # (T, D)
    same = theirs.labels[kept, None] == ours.labels[None]
    near = (theirs.scores[kept, None].float() - ours.scores[None].float()).abs() <= 2 * score
    nearest = apart.masked_fill(~(same & near), float('inf')).amin(-1)
    return Difference(score, nearest.max().item() if len(nearest) else 0.0)


def check_same_detections(difference: Difference, side: int) -> None:
    """Accept differences up to 1e-3, of the score and of the image's longer side.

    Args:
        difference: The largest of all images.
        side: Pixels of the longer side.

    Raises:
        UserError: If one is larger.
    """
    if not (difference.score <= TOLERANCE and difference.pixels <= TOLERANCE * side):
        raise UserError(
            f'detections of ours and mmdet differ by {difference.score:.2g} in the score and {difference.pixels:.2g} '
            'pixels with the same weights: a comparison of different things is no comparison, so choose another config'
        )
