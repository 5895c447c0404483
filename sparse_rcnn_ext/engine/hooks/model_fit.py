"""See whether a checkpoint and the images fit the model; a head for other classes is made to fit."""

from collections.abc import Sequence

from mmdet.structures import DetDataSample
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner
from mmengine.runner.base_loop import BaseLoop
from torch import nn

from sparse_rcnn_ext.engine.checkpoints.state_fit import compare_states, refuse_official_names
from sparse_rcnn_ext.engine.config.input_images import channel_problem
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.registry import HOOKS


@HOOKS.register_module()
class CheckpointFitHook(Hook):
    """Looks at every checkpoint that the Runner loads.

    - Training from ``load_from``: where the number of classes differs, and nothing else of a layer, the classifiers
      ``roi_head.bbox_head.N.fc_cls`` keep their fresh initialisation, and one line of the log says so. Any other
      mismatch is a warning, and an error where nothing matches.
    - The weights of a plain detector fit one of mmdet's SemiBaseDetector, where they fit its student.
    - Testing, and resuming a training: any mismatch is an error. A training is resumed from a file with its state only.

    Raises:
        UserError: In those cases. It gives the share that matches, the first mismatches by name and shape, and the
            settings that would make the checkpoint fit where there are such.
    """

    # EMAHook takes a copy of the checkpoint, and is to get what the model gets.
    priority = 'HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check ``checkpoint`` before the model takes it; refresh its classifiers in place."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model = model.module if isinstance(model, BaseTTAModel) else model
        file = runner._load_from or 'the checkpoint'
        if not isinstance(checkpoint, dict):
            raise UserError(
                f'{file} holds a {type(checkpoint).__name__} and no weights: give a checkpoint of tools/train.py'
            )
        refuse_official_names(checkpoint, file)
        if runner._resume and isinstance(runner._train_loop, BaseLoop):
            _check_resumable(checkpoint, file)
        loaded = checkpoint.get('state_dict', checkpoint)
        own = _receiver(model, loaded).state_dict()
        # What mmengine strips too.
        keys = {key.removeprefix('module.'): key for key in loaded}
        fit = compare_states(own, {name: loaded[key] for name, key in keys.items()})
        starts_training = isinstance(runner._train_loop, BaseLoop) and not runner._resume
        if fit.phrases and not starts_training:
            raise UserError(f'{file} does not fit the config; {fit}: {fit.advice}')
        if fit.mismatches and not fit.matching:
            raise UserError(f'load_from={file} does not fit the config at all; {fit}: give another one, or None')
        if fit.classifiers:
            first = fit.classifiers[0]
            before, now = len(loaded[keys[first]]), len(own[first])
            for name in fit.classifiers:
                loaded[keys[name]] = own[name].clone()
            layers = dict.fromkeys(name.rpartition('.')[0] for name in fit.classifiers)
            runner.logger.info(
                f'{file} was trained on {before} classes, and the config has {now}: '
                f'{", ".join(layers)} keep their fresh initialisation.'
            )
        if fit.mismatches:
            runner.logger.warning(f'{file} fits the config in part; {fit}. The rest keeps its fresh initialisation.')


def _receiver(model: nn.Module, loaded: dict) -> nn.Module:
    """Whose names the weights have: mmdet gives those of a plain detector to both within a SemiBaseDetector."""
    from mmdet.models.detectors import SemiBaseDetector  # takes seconds, unless the model is one of mmdet's anyway

    is_plain = not any('student' in key or 'teacher' in key for key in loaded)
    return model.student if isinstance(model, SemiBaseDetector) and is_plain else model


def _check_resumable(checkpoint: dict, file: str) -> None:
    meta = checkpoint.get('meta')
    needed = {
        'epoch': isinstance(meta, dict) and all(isinstance(meta.get(count), int) for count in ('epoch', 'iter')),
        'optimizer': isinstance(checkpoint.get('optimizer'), dict),
        # Checkpoints of mmdet 2 have the others.
        'state of the Runner': isinstance(checkpoint.get('message_hub'), dict),
    }
    missing = [what for what, is_there in needed.items() if not is_there]
    if missing:
        raise UserError(
            f'{file} holds weights but no {" and no ".join(missing)}, so no training can go on from it: start from its '
            f'weights with --cfg-options load_from={file} instead of --resume, or resume from an epoch_N.pth'
        )


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
