"""Training images as the network gets them, with their boxes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor
from torch.utils.data import Dataset

from sparse_rcnn_ext.datasets.image_loading import as_picture

from .canvas import Canvas
from .palette import PALETTE, WHITE, color_of
from .sheet import Panel, save_sheet


def draw_training_images(
    dataset: Dataset,
    indices: Sequence[int],
    out_file: Path,
    heading: str = 'Training images as the network gets them',
    columns: int = 4,
    panel_side: int = 480,
) -> None:
    """Write one picture with a panel for each image, augmented anew.

    Few classes have a colour each and one legend; of many, each box bears its name.

    Args:
        dataset: Of mmdet, with a training pipeline that ends in ``PackDetInputs``; its metainfo names the classes.
        indices: Images of the data set; the same one twice is augmented twice.
        out_file: The PNG or JPEG to write.
        heading: What the picture shows.
        columns: Panels in a row.
        panel_side: Longer side of a panel in pixels.
    """
    classes = dataset.metainfo['classes']
    legend = [(name, color_of(label)) for label, name in enumerate(classes)] if len(classes) <= len(PALETTE) else []
    panels = []
    for index in indices:
        packed = dataset[index]
        panels.append(draw_sample(packed['inputs'], packed['data_samples'], None if legend else classes, panel_side))
    save_sheet(
        panels,
        columns=columns,
        out_file=out_file,
        heading=heading,
        caption='Coloured: boxes to learn. White and dashed: boxes to ignore, such as crowds.',
        legend=legend,
    )


def draw_sample(inputs: Tensor, sample: DetDataSample, classes: Sequence[str] | None, panel_side: int) -> Panel:
    """The panel of one packed sample.

    Args:
        inputs: (C, H, W), BGR where it has colours, as mmdet loads images.
        sample: With ``gt_instances`` and ``ignored_instances``, boxes in pixels of ``inputs``.
        classes: Names of the classes, to be written at the boxes; None: only their colours.
        panel_side: Longer side of the panel in pixels.
    """
    image = np.ascontiguousarray(as_picture(dict(img=inputs.permute(1, 2, 0).numpy()))[..., ::-1])
    canvas = Canvas(image, panel_side)
    ignored, learned = sample.ignored_instances, sample.gt_instances
    for instances, dashed in ((ignored, True), (learned, False)):
        labels = instances.labels.tolist()
        canvas.draw(
            get_box_tensor(instances.bboxes),
            [WHITE if dashed else color_of(label) for label in labels],
            [classes[label] for label in labels] if classes else None,
            [dashed] * len(labels),
        )
    height, width = image.shape[:2]
    boxes = f'{len(learned) or "no"} {"box" if len(learned) == 1 else "boxes"}'
    return Panel(canvas.render(), f'{width}×{height}, {boxes}')
