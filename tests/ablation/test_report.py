"""The table as Markdown and as JSON."""

import json
from statistics import mean, stdev

import pytest

from sparse_rcnn_ext.ablation import Outcome, as_json, duration, write_markdown
from tests.ablation.examples import experiment, outcome


def cells(text: str) -> dict[str, list[str]]:
    """The table's cells by the first one of each line."""
    lines = [line.strip('|').split('|') for line in text.splitlines() if line.startswith('|')]
    assert len({len(line) for line in lines}) == 1
    return {line[0].strip(): [cell.strip() for cell in line[1:]] for line in lines}


def test_every_cell():
    rows = [outcome('1', [20.0, 21.0]), outcome('6', [30.0, 30.44], paper_ap=42.3, is_base=True)]
    text = write_markdown(experiment(rows, seeds=2), rows)
    table = cells(text)
    assert table[''] == ['AP', 'AP in the paper', 'parameters', 'GFLOPs', 'a step', 'training', 'latency']
    expected = ['20.5 (20.0–21.0)', '*40.0*', '6.54 M', '0.53', '114.0 ms', '1 min 40 s', '31.2 ms']
    assert table['1'] == expected
    assert table['**6** (the recipe)'][:2] == ['30.2 (30.0–30.4)', '*42.3*']
    assert text.startswith('# Number of stages\n')
    assert 'Every row is `configs/small.py` with one change, trained for 3 epochs with 2 seeds.' in text
    assert 'not measured here' in text and '<https://example.org/paper>' in text
    assert 'compare the order, not the numbers' in text
    assert 'one image of 160 × 200 pixels' in text and 'Measured on: A CPU, 2 threads.' in text
    assert 'Failed' not in text


def test_spread():
    values = [20.0, 21.0, 25.0]
    one, three = outcome('one', values[:1]), outcome('three', values)
    assert cells(write_markdown(experiment([three], 3), [three]))['three'][0] == (
        f'{mean(values):.1f} ± {stdev(values):.1f}'
    )
    text = write_markdown(experiment([one], 1), [one])
    assert cells(text)['one'][0] == '20.0'
    assert 'of one seed' in text and '1 seed.' in text
    assert cells(write_markdown(experiment([one], 3), [one]))['one'][0] == '20.0, 1 of 3 seeds'


def test_rows_without_numbers():
    failed = outcome('broken', [], cost=None, failures=['seed 0: exit code 1\nValueError: | wrong'])
    waiting = outcome('wait|ing', [], paper_ap=None)
    text = write_markdown(experiment([failed, waiting], 1, is_rebased=False), [failed, waiting])
    assert cells(text)['broken'] == ['failed', '*40.0*', '–', '–', '–', '–', '–']
    assert cells(text)['wait/ing'] == ['–', '–', '6.54 M', '0.53', '–', '–', '31.2 ms']
    assert text.endswith('## Failed: broken\n\n```\nseed 0: exit code 1\nValueError: | wrong\n```\n')
    assert 'compare the order' not in text


def unpublished(name: str, aps: list[float], **changes) -> Outcome:
    return outcome(name, aps, paper_ap=None, **changes)


def test_gain_stands_in_the_place_of_the_paper():
    rows = [
        unpublished('recipe', [20.0, 22.0], is_base=True),
        unpublished('better', [21.0, 23.5]),
        unpublished('half', [19.96]),
        unpublished('worse', [18.0, 20.0]),
        unpublished('broken', [], failures=['why']),
    ]
    text = write_markdown(experiment(rows, 2), rows)
    table = cells(text)
    assert table[''] == ['AP', 'gain', 'parameters', 'GFLOPs', 'a step', 'training', 'latency']
    gains = [values[1] for name, values in table.items() if name not in ('', '---')]
    # The third over the seed that it has.
    assert gains == ['–', '+1.2', '+0.0', '-2.0', '–']
    assert 'paper' not in text.replace('example.org/paper', '')
    assert 'Gain: AP minus that of the recipe' in text
    assert 'Where the changes come from: <https://example.org/paper>.' in text
    content = as_json(experiment(rows, 2), rows)
    assert content['paper_ap'] is None
    assert [row['gain'] for row in content['rows']] == [None, pytest.approx(1.25), pytest.approx(-0.04), -2.0, None]


def test_no_gain_without_the_recipe():
    rows = [unpublished('softmax', [20.0])]
    text = write_markdown(experiment(rows, 1), rows)
    assert cells(text)['softmax'] == ['20.0', '6.54 M', '0.53', '114.0 ms', '1 min 40 s', '31.2 ms']
    assert 'Gain' not in text and as_json(experiment(rows, 1), rows)['rows'][0]['gain'] is None


def test_json_has_everything():
    rows = [outcome('1', [20.0, 21.0, 25.0]), outcome('2', [], cost=None, failures=['why'])]
    content = json.loads(json.dumps(as_json(experiment(rows, 3), rows)))
    assert content['table'] == 'stages' and content['seeds'] == [0, 1, 2] and content['length'] == '3 epochs'
    assert 'COCO val2017' in content['paper_ap']
    first, second = content['rows']
    assert first['ap'] == pytest.approx(22.0) and first['ap_std'] == pytest.approx(stdev([20.0, 21.0, 25.0]))
    assert [(run['seed'], run['ap']) for run in first['runs']] == [(0, 20.0), (1, 21.0), (2, 25.0)]
    assert first['runs'][1]['metrics'] == {'coco/bbox_mAP': 0.21}
    assert first['step_seconds'] == 0.114 and first['runs'][1]['step_seconds'] == pytest.approx(0.124)
    assert first['cost']['parameters'] == 6_540_000 and first['paper_ap'] == 40.0
    assert second['ap'] is None and second['failures'] == ['why'] and second['runs'] == []
    assert second['step_seconds'] is None


def test_durations():
    assert [duration(seconds) for seconds in (0.4, 59.4, 59.6, 185, 3599.9, 25920)] == [
        '0 s',
        '59 s',
        '1 min 00 s',
        '3 min 05 s',
        '1 h 00 min',
        '7 h 12 min',
    ]
