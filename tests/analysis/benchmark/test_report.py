"""Measurements as Markdown and JSON, the fixed list, and how it is run."""

import json
from dataclasses import replace

import pytest

from sparse_rcnn_ext.analysis.benchmark import rows as module
from sparse_rcnn_ext.analysis.benchmark.report import as_json, heading, machine_facts, write_markdown
from sparse_rcnn_ext.analysis.benchmark.rows import ROWS, Reached, Row, rows_for
from sparse_rcnn_ext.analysis.benchmark.settings import Setting, describe, settle
from sparse_rcnn_ext.analysis.benchmark.timing import BYTES, SECONDS, Comparison, Result

TIMES = Comparison('training step', SECONDS, ours=(1.0, 1.25, 1.5), theirs=(3.0, 2.5, 2.0))
PEAKS = Comparison('peak', BYTES, ours=(900 << 20,), theirs=(1 << 30,))
SETTING = Setting(proposals=100, stages=6, ours_dtype='bfloat16', channels_last=True)
RESULT = Result('train', SETTING, [TIMES, PEAKS], ['Both are the same.'])


def test_markdown():
    text = write_markdown(dict(CPU='a CPU', command='`a command`'), [RESULT], charts=['growth_side.png'])
    assert '- CPU: a CPU\n- command: `a command`\n' in text
    assert '| training step | 2.50 s (2.00–3.00) | 1.25 s (1.00–1.50) | 2.00 × |' in text
    assert '| peak | 1.00 GiB | 900 MiB | 0.88 × |' in text
    assert 'Both are the same.' in text and '![growth_side.png](growth_side.png)' in text
    assert '## Targets' not in text
    expected = 'r50, 640×640, batch 2, 100 proposals, 6 stages, 10 boxes an image, CPU, float32'
    assert f'## train: {expected}; ours bfloat16, channels last\n' in text


@pytest.mark.parametrize(
    ('seconds', 'text'), [(12.34, '12.3 s'), (0.1234, '123 ms'), (0.00999, '9.99 ms'), (2e-5, '20.0 µs')]
)
def test_units(seconds, text):
    result = RESULT._replace(comparisons=[Comparison('it', SECONDS, (seconds,), (seconds,))])
    assert f'| it | {text} | {text} | 1.00 × |' in write_markdown({}, [result])


@pytest.mark.parametrize(
    ('comparison', 'target', 'met', 'cells'),
    [
        (TIMES, 2.0, True, '| 2.00 × | ≥ 2 × | met |'),
        (TIMES, 2.1, False, '| 2.00 × | ≥ 2.1 × | **missed** |'),
        (PEAKS, 0.85, False, '| 0.88 × | ≤ 0.85 × | **missed** |'),
        (PEAKS, 0.9, True, '| 0.88 × | ≤ 0.9 × | met |'),
        (TIMES, None, None, '| 2.00 × | – |  |'),
    ],
)
def test_targets(comparison, target, met, cells):
    reached = Reached(Row('A row', 'train', SETTING, comparison.name, target), comparison)
    assert reached.is_met is met
    text = write_markdown({}, [], [reached])
    assert cells in next(line for line in text.splitlines() if line.startswith('| A row |'))
    (found,) = as_json({}, [], [reached])['targets']
    assert (found['met'], found['target'], found['ratio']) == (met, target, pytest.approx(comparison.ratio))


def test_json_has_every_measurement():
    found = json.loads(json.dumps(as_json(dict(CPU='a CPU'), [RESULT])))
    assert found['machine'] == dict(CPU='a CPU')
    (result,) = found['results']
    assert result['setting']['ours_dtype'] == 'bfloat16' and result['setting']['size'] == [640, 640]
    first, second = result['comparisons']
    assert first == dict(
        name='training step',
        unit='s',
        ratio=2.0,
        ours_median=1.25,
        mmdet_median=2.5,
        ours=[1.0, 1.25, 1.5],
        mmdet=[3.0, 2.5, 2.0],
    )
    assert second['unit'] == 'B' and second['ratio'] == pytest.approx(900 / 1024)


def test_headings():
    matching = RESULT._replace(what='matching', setting=Setting(proposals=5, stages=6), title='16 images')
    assert heading(matching) == 'matching: 16 images, r50, 640×640, 6 stages, CPU, float32'
    assert heading(RESULT._replace(what='evaluation', title='9 images')) == 'evaluation: 9 images'
    assert 'boxes' not in describe(SETTING, ['boxes'])


def test_machine():
    facts = machine_facts('cpu')
    assert {'date', 'CPU', 'versions'} <= set(facts)
    assert 'thread' in facts['CPU'] and 'cores' in facts['CPU']
    assert all(name in facts['versions'] for name in ('Python 3', 'torch ', 'torchvision ', 'mmdet ', 'mmengine '))


def test_rows_are_possible_and_have_the_targets_of_the_issue():
    targets = {(row.what, row.setting.model, row.setting.device, row.target) for row in ROWS}
    assert {
        ('shipped', 'lite0', 'cpu', 2.0),
        ('shipped', 'r50', 'cpu', 1.25),
        ('shipped', 'r50', 'cpu', 2.2),
        ('roi', 'r50', 'cpu', 7.0),
        ('inference', 'r50', 'cpu', 1.2),
        ('inference', 'r50', 'cpu', 2.0),
        ('matching', 'r50', 'cpu', 2.0),
        ('memory', 'r50', 'cpu', 0.85),
        ('evaluation', 'r50', 'cpu', 40.0),
        ('evaluation', 'r50', 'cpu', 0.5),
        ('loading', 'r50', 'cpu', 4.0),
        ('loading', 'r50', 'cpu', 0.5),
        ('train', 'r50', 'cuda', 1.5),
        ('inference', 'r50', 'cuda', 4.0),
        ('matching', 'r50', 'cuda', 5.0),
    } <= targets
    assert len(rows_for('cpu')) + len(rows_for('cuda')) == len(ROWS)
    assert len({row.name for row in ROWS}) == len(ROWS)
    for row in rows_for('cpu'):
        settle(row.setting)


def test_what_several_rows_need_is_measured_once(monkeypatch):
    asked, said = [], []

    def measure(what, setting):
        asked.append((what, setting))
        return RESULT

    monkeypatch.setattr(module, 'measure', measure)
    first = Row('first', 'train', SETTING, 'training step', 1.5)
    rows = [first, first._replace(name='second', comparison='peak'), first._replace(setting=replace(SETTING, batch=9))]
    reached, results = module.measure_rows(rows, said.append)
    assert asked == [('train', SETTING), ('train', replace(SETTING, batch=9))]
    assert [row.comparison for row in reached] == [TIMES, PEAKS, TIMES] and len(results) == 2
    assert said[0].startswith('1/3 first (r50, 640×640') and '2.00 ×' in said[1]
