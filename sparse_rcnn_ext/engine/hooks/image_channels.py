"""See before the first iteration that images have the channels that the network takes."""

from collections.abc import Sequence

from mmdet.structures import DetDataSample
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner

from sparse_rcnn_ext.engine.errors import UserError
from sparse_rcnn_ext.engine.input_channels import channel_problem
from sparse_rcnn_ext.registry import HOOKS


@HOOKS.register_module()
class ImageChannelsHook(Hook):
    """Looks at the first batch of each epoch.

    Raises:
        UserError: If its images do not reach the network, as those of one channel that a loader with
            ``color_type='grayscale'`` gives, where the model is one for colours.
    """

    def _before_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | Sequence[DetDataSample] | None, mode: str
    ) -> None:
        inputs = data_batch.get('inputs') if batch_idx == 0 and isinstance(data_batch, dict) else None
        # Branches of a semi-supervised training go through a preprocessor of which nothing is known.
        if inputs is None or isinstance(inputs, dict) or not len(inputs):
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        detector = model.module if isinstance(model, BaseTTAModel) else model
        # Several views of an image have the same channels.
        image = inputs[0][0] if isinstance(inputs[0], (list, tuple)) else inputs[0]
        if problem := channel_problem(detector, image.shape[0]):
            raise UserError(
                f'the images of {mode}_dataloader have {problem}: see color_type of the loader in its pipeline, '
                'model.backbone.in_channels, and mean, std and bgr_to_rgb of model.data_preprocessor'
            )
