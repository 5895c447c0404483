"""The tables to run: their rows, what was published of them, and what a row changes, put over any recipe."""

import ast
import hashlib
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from mmengine.config import Config
from mmengine.fileio import load

from sparse_rcnn_ext.engine.config.run_config import load_config
from sparse_rcnn_ext.engine.config.schedule import set_epochs
from sparse_rcnn_ext.errors import UserError


class Row(NamedTuple):
    """A row of a table."""

    name: str
    config: Path
    """A config file: a recipe as ``_base_``, and what the row changes."""
    paper_ap: float | None
    """AP as published; None where none is."""
    default: bool
    """Whether the row is its recipe."""


class Table(NamedTuple):
    """Rows that change one recipe, to be compared."""

    name: str
    title: str
    source: str
    """An address: where the rows come from."""
    rows: list[Row]

    @property
    def is_published(self) -> bool:
        """Whether any row has an AP of the paper."""
        return any(row.paper_ap is not None for row in self.rows)


def read_tables(path: Path) -> dict[str, Table]:
    """Read a YAML or JSON file of tables, by name; see configs/sparse_rcnn/ablations/tables.yml.

    A row names its config as seen from the file's folder; it may lie in another one.

    Raises:
        UserError: If the file is missing or no list of tables, or a row names a config that does not exist.
    """
    if not path.is_file():
        raise UserError(f'no file of tables {path}: --tables must name one')
    try:
        tables = [
            Table(table['name'], table['title'], table['source'], [_read_row(row, path) for row in table['rows']])
            for table in load(path)
        ]
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f'{path} is no file of tables ({type(error).__name__}: {error}): write a list of name, title, source and '
            'rows, and for each row name, config and paper_ap'
        ) from error
    for table in tables:
        names = [row.name for row in table.rows]
        if len(set(names)) < len(names):
            raise UserError(f'two rows of the table {table.name} in {path} have one name: name them apart')
    by_name = {table.name: table for table in tables}
    if len(by_name) < len(tables):
        raise UserError(f'two tables in {path} have one name: name them apart')
    return by_name


def _read_row(row: dict, path: Path) -> Row:
    config = path.parent / row['config']
    if not config.is_file():
        raise UserError(f'the row {row["name"]} of {path} has the config {config}, which does not exist: correct it')
    paper_ap = row['paper_ap']
    return Row(str(row['name']), config, None if paper_ap is None else float(paper_ap), bool(row.get('default')))


def find_table(path: Path, name: str) -> Table:
    """The table of that name.

    Raises:
        UserError: If there is none, or see :func:`read_tables`.
    """
    tables = read_tables(path)
    if name not in tables:
        raise UserError(f'no table {name} in {path}: it has {", ".join(tables)}')
    return tables[name]


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
