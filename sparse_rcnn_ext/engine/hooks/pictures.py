"""Writes every tested image with its detections."""

import os.path
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cv2
from mmdet.engine.hooks import DetVisualizationHook
from mmdet.structures import DetDataSample
from mmengine.runner import Runner

from sparse_rcnn_ext.datasets.image_loading import dataset_picture
from sparse_rcnn_ext.registry import HOOKS
from sparse_rcnn_ext.visualization.fonts import font_families, readable, untold_glyphs


@HOOKS.register_module()
class PicturesHook(DetVisualizationHook):
    """mmdet's hook, with the pictures of a test in folders as the images are.

    In mmdet all lie in one folder under the images' base names, and of a/1.jpg and b/1.jpg the last one remains. Here
    the path of an image counts from the folder that all images of the test have in common. Names of classes may be of
    any script for which there is a font.

    Args:
        settings: See mmdet's DetVisualizationHook; ``test_out_dir`` is needed.
    """

    def __init__(self, test_out_dir: str, **settings) -> None:
        super().__init__(test_out_dir=test_out_dir, **settings)
        self._images = ''
        self._places: dict[str, int] = {}

    def before_test(self, runner: Runner) -> None:
        """Find the folder of all images, and take the visualizer of this run: mmdet's hook takes the latest one."""
        self._visualizer = runner.visualizer
        dataset = runner.test_dataloader.dataset
        paths = (dataset.get_data_info(index)['img_path'] for index in range(len(dataset)))
        self._places = {path: index for index, path in enumerate(paths)}
        self._images = os.path.commonpath({os.path.dirname(_whole(path)) for path in self._places})  # noqa: PTH120
        families = font_families(''.join((self._visualizer.dataset_meta or {}).get('classes', ())))
        # Of one text, as it draws one at a time.
        draw = partial(self._visualizer.draw_texts, font_families=[families])
        self._visualizer.draw_texts = lambda text, *where, **style: draw(readable(text), *where, **style)

    def after_test(self, runner: Runner) -> None:
        """Leave the visualizer as it was."""
        del self._visualizer.draw_texts

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[DetDataSample]
    ) -> None:
        """Write the pictures of a batch."""
        if not self.draw:
            return
        for sample in outputs:
            self._test_index += 1
            image = dataset_picture(runner.test_dataloader.dataset, self._places[sample.img_path])
            name = os.path.relpath(_whole(sample.img_path), self._images)
            # A loader of one's own may read what is no image file.
            name = name if cv2.haveImageWriter(name) else f'{name}.png'
            with untold_glyphs():
                self._visualizer.add_datasample(
                    'test_img',
                    image,
                    data_sample=sample,
                    pred_score_thr=self.score_thr,
                    out_file=str(Path(self.test_out_dir, name)),
                    step=self._test_index,
                )


def _whole(path: str) -> str:
    """Absolute and without '..'; what has a scheme, such as s3://, becomes a path like any other."""
    return os.path.abspath(path)  # noqa: PTH100
