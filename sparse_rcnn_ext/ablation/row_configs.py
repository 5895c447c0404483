"""What a row changes, put over any recipe, and the settings that all rows share."""

import ast
import hashlib
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from mmengine.config import Config

from sparse_rcnn_ext.engine.config.run_config import load_config
from sparse_rcnn_ext.engine.config.schedule import set_epochs
from sparse_rcnn_ext.errors import UserError


def base_of(row: Path) -> Path:
    """The recipe that a row's config names as its one ``_base_``.

    Raises:
        UserError: If it names none, several, or one that does not exist.
    """
    return _find_base(row)[0]


def put_over(row: Path, base: Path) -> Config:
    """Evaluate a row's config over another recipe.

    Args:
        row: The config file of the row.
        base: The config file to stand in the place of its ``_base_``.

    Returns:
        The config, with ``row`` as its filename.

    Raises:
        UserError: If ``row`` has no single ``_base_``, or does not fit ``base``.
    """
    statement = _find_base(row)[1]
    lines = row.read_text(encoding='utf-8').splitlines(keepends=True)
    lines[statement.lineno - 1 : statement.end_lineno] = [f'_base_ = {str(base.resolve())!r}\n']
    with TemporaryDirectory() as folder:
        child = Path(folder, row.name)
        child.write_text(''.join(lines), encoding='utf-8')
        try:
            cfg = load_config(str(child), None, None)
        except Exception as error:
            raise UserError(f'{row} cannot be put over {base}: {error}') from error
    cfg.pop('work_dir')  # named after the copy
    return Config(dict(cfg.items()), cfg_text=cfg.text, filename=str(row))


def _find_base(row: Path) -> tuple[Path, ast.Assign]:
    for statement in ast.parse(row.read_text(encoding='utf-8')).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == '_base_':
            value = statement.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                base = row.parent / value.value
                if not base.is_file():
                    raise UserError(f'{row} has the _base_ {value.value}, which does not exist: correct it')
                return base, statement
    raise UserError(f"{row} has no single _base_: a row starts with _base_ = 'RECIPE.py' and says what it changes")


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
