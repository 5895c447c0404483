"""What a row changes, put over any recipe."""

import ast
from pathlib import Path
from tempfile import TemporaryDirectory

from mmengine.config import Config

from sparse_rcnn_ext.engine.errors import UserError
from sparse_rcnn_ext.engine.run_config import load_config


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
