"""Large photographs, decoded no larger than needed."""

from pathlib import PurePath

import cv2
from mmcv.transforms import BaseTransform, LoadImageFromFile

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.registry import TRANSFORMS

_FLAGS = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}


@TRANSFORMS.register_module()
class LoadReducedImage(BaseTransform):
    """mmcv's LoadImageFromFile, but a JPEG is decoded at a half, a fourth or an eighth of its sides where both its
    longer side and the boxes' scale allow that: the result's long side is still ``long_side`` or more.

    A JPEG decoder averages the pixels that it joins, which a bilinear resize by more than two does not. What comes next
    and counts in pixels, a blur or a noise, works on pixels near those of the final image, as it does for small files.
    COCO's images, 640 pixels long, are decoded whole for a long side above 320.

    Args:
        long_side: Pixels that the decoded image's longer side must at least have, if the file has them.
        backend_args: See mmcv's LoadImageFromFile.
    """

    def __init__(self, long_side: int, backend_args: dict | None = None) -> None:
        super().__init__()
        self.long_side = long_side
        self._whole = LoadImageFromFile(backend_args=backend_args)
        self._reduced = {
            by: LoadImageFromFile(color_type=flag, backend_args=backend_args) for by, flag in _FLAGS.items()
        }

    def transform(self, results: dict) -> dict:
        """Set ``img`` (H, W, 3) uint8 BGR, ``img_shape``, its sides, and ``ori_shape``, those of the file.

        Args:
            results: A sample with ``img_path``, the file's ``height`` and ``width``, and ``gt_bboxes``, which are
                brought to the image's scale.

        Raises:
            UserError: If the boxes are not loaded yet.
        """
        if 'gt_bboxes' not in results:
            raise UserError('LoadReducedImage finds no boxes to scale: put LoadAnnotations before it')
        size = results['height'], results['width']
        by = self._share(results['img_path'], max(size))
        if by > 1:
            self._reduced[by].transform(results)
            # Otherwise the annotations have another size than the file, and which is the boxes' is anyone's guess.
            if results['img_shape'] == tuple(-(-side // by) for side in size):
                height, width = results['img_shape']
                results['gt_bboxes'].rescale_((width / size[1], height / size[0]))
                results['ori_shape'] = size
                return results
        return self._whole.transform(results)

    def _share(self, path: str, long_side: int) -> int:
        """By how much to divide the sides."""
        # Of other formats OpenCV decodes all, and then leaves pixels out.
        if PurePath(path).suffix.lower() not in ('.jpg', '.jpeg'):
            return 1
        return next((by for by in _FLAGS if long_side >= by * self.long_side), 1)
