"""The tables to run: which rows they have, and what was published of them."""

from pathlib import Path
from typing import NamedTuple

from mmengine.fileio import load

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
