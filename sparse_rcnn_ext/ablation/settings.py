"""The settings that all rows of a table share, and what tells two trainings apart."""

import hashlib
import json
from pathlib import Path

from mmengine.config import Config

from sparse_rcnn_ext.engine.errors import UserError
from sparse_rcnn_ext.engine.run_config import load_config
from sparse_rcnn_ext.engine.schedule_length import set_epochs


def load_base(path: Path, options: dict | None, epochs: int | None, val_interval: int | None = None) -> Config:
    """The recipe as all rows get it.

    Args:
        path: Its config file.
        options: Names and values of ``--cfg-options``; they change the recipe, and a row then changes that.
        epochs: How long to train; None: as the recipe says.
        val_interval: Validate so often, counted as the recipe counts its length; None: never.

    Raises:
        UserError: If there is no such file, an option does not fit, the schedule cannot have that length, or nothing
            is said of how to validate.
    """
    cfg = load_config(str(path), options, None)
    cfg.pop('work_dir')
    if epochs is not None:
        set_epochs(cfg, epochs)
    if val_interval is None:
        # A row is tested once, when it is trained.
        cfg.update(val_cfg=None, val_dataloader=None, val_evaluator=None)
    elif cfg.get('val_cfg') is None:
        raise UserError(f'{path} has no val_cfg: give it one, or leave --val-interval out')
    else:
        cfg.train_cfg.val_interval = val_interval
    checkpoints = cfg.get('default_hooks', {}).get('checkpoint')
    if checkpoints:
        checkpoints.pop('save_best', None)
        checkpoints.pop('rule', None)
        # mmengine deletes the oldest one before it has written the next.
        checkpoints.max_keep_ckpts = 2
    return cfg


def training_length(cfg: Config) -> str:
    """How long a config trains, such as ``12 epochs``."""
    epochs = cfg.train_cfg.get('max_epochs')
    return f'{epochs} epoch{"s" if epochs > 1 else ""}' if epochs else f'{cfg.train_cfg.max_iters} iterations'


def last_checkpoint_name(cfg: Config) -> str:
    """The name of the checkpoint that a training of ``cfg`` leaves when it is finished."""
    epochs = cfg.train_cfg.get('max_epochs')
    return f'epoch_{epochs}.pth' if epochs else f'iter_{cfg.train_cfg.max_iters}.pth'


def fingerprint(cfg: Config, *others: object) -> str:
    """Ten hexadecimal digits that differ where a setting differs, or one of the other things that JSON can hold."""
    text = json.dumps([cfg.to_dict(), *others], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:10]
