"""The file of tables."""

from pathlib import Path

import pytest

from sparse_rcnn_ext.ablation import find_table, read_tables
from sparse_rcnn_ext.errors import UserError

GOOD = """
- name: stages
  title: Number of stages
  source: https://example.org
  rows:
    - {name: 6, config: six.py, paper_ap: 42.3, default: true}
    - {name: '12', config: twelve.py, paper_ap: null}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    for name in ('six.py', 'twelve.py'):
        (tmp_path / name).touch()
    path = tmp_path / 'tables.yml'
    path.write_text(GOOD)
    return path


def test_rows(file: Path):
    table = find_table(file, 'stages')
    assert (table.name, table.title, table.source) == ('stages', 'Number of stages', 'https://example.org')
    assert table.rows == [
        ('6', file.parent / 'six.py', 42.3, True),
        ('12', file.parent / 'twelve.py', None, False),
    ]


def test_config_of_another_folder(file: Path):
    other = file.parent / 'other'
    other.mkdir()
    (other / 'mal.py').touch()
    tables = file.with_name('tables')
    tables.mkdir()
    file = file.rename(tables / 'tables.yml')
    file.write_text(GOOD.replace('six.py', '../other/mal.py').replace('twelve.py', '../twelve.py'))
    configs = [row.config.resolve() for row in find_table(file, 'stages').rows]
    assert configs == [other / 'mal.py', file.parents[1] / 'twelve.py']
    (other / 'mal.py').unlink()
    with pytest.raises(UserError, match=r'the row 6 of .*tables\.yml has the config .*\.\./other/mal\.py, which does'):
        read_tables(file)


def test_published_if_any_row_is(file: Path):
    assert find_table(file, 'stages').is_published
    file.write_text(GOOD.replace('42.3', 'null'))
    assert not find_table(file, 'stages').is_published


def test_unknown_table_names_all(file: Path):
    file.write_text(GOOD + GOOD.replace('stages', 'boxes'))
    with pytest.raises(UserError, match=r'^no table stage in .*tables\.yml: it has stages, boxes$'):
        find_table(file, 'stage')


@pytest.mark.parametrize(
    ('old', 'new', 'sentence'),
    [
        ('six.py', 'seven.py', 'the row 6 of .* has the config .*seven.py, which does not exist'),
        ("'12'", '6', 'two rows of the table stages in .* have one name'),
        ('  rows:', '  lines:', r"no file of tables \(KeyError: 'rows'\): write a list of name, title"),
        (', paper_ap: null', '', r"no file of tables \(KeyError: 'paper_ap'\)"),
        ('42.3', 'much', 'no file of tables'),
        (GOOD, 'name: {', 'no file of tables'),
        (GOOD, GOOD + GOOD, 'two tables in .* have one name'),
    ],
)
def test_mistakes_are_one_sentence(file: Path, old: str, new: str, sentence: str):
    assert old in GOOD
    file.write_text(GOOD.replace(old, new))
    with pytest.raises(UserError, match=sentence):
        read_tables(file)


def test_no_file(tmp_path: Path):
    with pytest.raises(UserError, match=r'^no file of tables .*none\.yml: --tables must name one$'):
        read_tables(tmp_path / 'none.yml')


def test_tables_of_the_paper(repo_dir: Path):
    tables = read_tables(repo_dir / 'configs/sparse_rcnn/ablations/tables.yml')
    assert [row.paper_ap for row in tables['stages'].rows] == [21.7, 36.2, 39.9, 42.3, 41.6]
    assert sum(row.default for row in tables['stages'].rows) == 1
