"""The tables, the numbers for the JSON file, and the last line."""

import json
import re

import pytest

from sparse_rcnn_ext.datasets.check import summarise, write_report
from sparse_rcnn_ext.datasets.check.finding import Finding, Level, Noun, first_fix
from sparse_rcnn_ext.datasets.check.report import format_table
from tests.datasets.check.small_data import SmallData, check


@pytest.fixture
def data(tmp_path) -> SmallData:
    return SmallData(tmp_path / 'data')


def finding(key: str = 'k', level: Level = Level.ERROR, count: int = 2, examples: tuple[str, ...] = ()) -> Finding:
    return Finding(key, level, 'train', 'a.json', count, Noun.BOX, 'of zero area', 'remove them', examples)


def test_table():
    text = format_table(['boxes', 'train', 'val'], [['kept', 12345, 0], ['zero area', 3, 'x']])
    assert text.splitlines() == [
        'boxes       train  val',
        '---------  ------  ---',
        'kept       12,345    ·',
        'zero area       3    x',
    ]


def test_sentence():
    assert finding().sentence() == 'a.json: 2 boxes of zero area: remove them.'
    assert finding(count=1, examples=('a.jpg',)).sentence() == 'a.json: 1 box of zero area (a.jpg): remove them.'
    assert finding(count=0).text() == '0 boxes of zero area'
    assert finding(examples=('a', 'b', 'c', 'd')).text() == '2 boxes of zero area (a, b, c, …)'


def test_first_fix_is_the_first_error_or_else_the_first_warning():
    note, warning, error = (finding(level.value, level) for level in (Level.NOTE, Level.WARNING, Level.ERROR))
    later = finding('later')
    assert first_fix([note, warning, error, later]) is error
    assert first_fix([note, warning]) is warning
    assert first_fix([note]) is first_fix([]) is None


def test_report_of_clean_data(data):
    text = write_report(check(data))
    assert text.splitlines()[-1] == 'Nothing to fix.'
    assert '4 of 4 images used, 12 of 12 boxes kept, 3.0 an image, at most 3' in text
    rows = [re.split(r'  +', line) for line in text.splitlines()]
    head = ['class', 'boxes kept', 'small', 'medium', 'large', 'at 128x128: small', 'medium', 'large', 'dropped']
    assert rows.count(head) == 2
    # Twice the size on the way to the network: a cat of 10x10 stays small, one of 40x30 stays medium.
    assert ['cat', '8', '4', '4', '·', '4', '4', '·', '·'] in rows
    assert ['dog', '4', '4', '·', '·', '4', '·', '·', '·'] in rows
    assert ['all', '12', '8', '4', '·', '8', '4', '·', '·'] in rows
    assert ['kept', '12', '6'] in rows
    assert '6 image files (' in text


def test_report_of_broken_data(data):
    data.add_box(category_id=9)
    data.add_image('no.jpg')
    data.add_box(iscrowd=1)
    lines = write_report(check(data)).splitlines()
    levels = [line.split()[0] for line in lines if line.split()[:1] in (['error'], ['warning'], ['note'])]
    assert levels == ['error', 'warning', 'note']
    assert 'warning  train  1 box of a category that the file does not list (train0.jpg)' in lines
    assert lines[-1].startswith(
        f'First fix: {data.root}/train.json: 1 image not in {data.root}/images/ (no.jpg): add the files'
    )


def test_numbers_are_fit_for_json(data):
    data.add_box(category_id=9)
    result = check(data)
    numbers = json.loads(json.dumps(summarise(result), allow_nan=False))
    assert (numbers['failed'], numbers['num_proposals']) == (False, 5)
    assert numbers['first_fix'] == result.first_fix.sentence()
    assert [dataset['name'] for dataset in numbers['datasets']] == ['train', 'val']
    assert numbers['datasets'][0]['boxes']['unknown category'] == 1
    assert [(entry['key'], entry['level'], entry['count']) for entry in numbers['findings']] == [
        ('unknown category', 'warning', 1)
    ]
    assert (numbers['reading']['files'], numbers['reading']['threads']) == (6, 2)
    assert numbers['reading']['bytes'] == sum(map(len, data.files.values()))
