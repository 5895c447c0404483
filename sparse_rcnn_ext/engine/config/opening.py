"""What the tools do in common with their arguments: config and checkpoint opened, options of inference obeyed.

The counterpart of ``arguments``: what ``add_model``, ``add_trust_option`` and ``add_cfg_options`` ask for,
:func:`open_config` does; :func:`obey_inference_options` does what ``add_inference_options`` asks for.
"""

from argparse import Namespace

from mmengine.config import Config

from sparse_rcnn_ext.engine.checkpoints.trust import trust_checkpoints

from .run_config import check_checkpoint, load_config, stop_early
from .test_time_augmentation import switch_tta


def open_config(args: Namespace) -> Config:
    """The config of a tool, after a look at its checkpoint.

    Args:
        args: With ``config``; ``cfg_options``, ``work_dir``, ``trust_checkpoint`` and ``checkpoint`` may be missing, or
            None.

    Raises:
        UserError: If the config cannot be used, an option does not fit it, or there is no such checkpoint.
    """
    trust_checkpoints(getattr(args, 'trust_checkpoint', False))
    cfg = load_config(args.config, getattr(args, 'cfg_options', None), getattr(args, 'work_dir', None))
    if getattr(args, 'checkpoint', None) is not None:
        check_checkpoint(args.checkpoint, 'the second argument')
    return cfg


def obey_inference_options(cfg: Config, args: Namespace) -> None:
    """Set what ``--stages`` and ``--tta`` ask for.

    Raises:
        UserError: If the config has no stages, or nothing that could be augmented.
    """
    if args.stages is not None:
        stop_early(cfg, args.stages)
    if args.tta:
        switch_tta(cfg)
