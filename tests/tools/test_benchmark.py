"""tools/analysis/benchmark.py: once as a user runs it, then its main(), which saves the start of a process."""

import importlib.util
import json

import pytest

from sparse_rcnn_ext.analysis.benchmark import Comparison, Result, Setting, growth
from sparse_rcnn_ext.analysis.benchmark import rows as module
from sparse_rcnn_ext.analysis.benchmark.evaluation import PEAK
from sparse_rcnn_ext.analysis.benchmark.rows import rows_for
from tests.analysis.benchmark.tiny import write_tiny_model

# What takes processes of its own has its tests in test_shipped.py, test_memory.py and test_loading.py.
WHATS = ['train', 'roi', 'inference', 'matching', 'evaluation']


@pytest.fixture(scope='module')
def tiny_model(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp('benchmark'))


@pytest.fixture(scope='module')
def tool(repo_dir):
    """The tool as a module."""
    spec = importlib.util.spec_from_file_location('benchmark', repo_dir / 'tools/analysis/benchmark.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def benchmark(tool):
    """``benchmark(argument, …)`` runs it in this process."""
    return lambda *arguments: tool.main([str(argument) for argument in arguments])


@pytest.fixture(scope='module')
def found(run_tool, tiny_model, tmp_path_factory) -> dict:
    """What a run of everything printed and wrote."""
    folder = tmp_path_factory.mktemp('a folder')
    sizes = ['--device', 'cpu', '--size', 192, 256, '--rounds', 1, '--images', 3, '--threads', 1]
    result = run_tool(
        'analysis/benchmark.py', *WHATS, '--model', tiny_model, *sizes, '--out', 'out', '--json', 'it.json', cwd=folder
    )
    assert result.returncode == 0, result.stdout
    return dict(folder=folder, stdout=result.stdout, json=json.loads((folder / 'it.json').read_text()))


def test_everything_is_measured(found):
    results = {result['what']: result for result in found['json']['results']}
    assert list(results) == WHATS
    for result in results.values():
        for comparison in result['comparisons']:
            assert len(comparison['ours']) == len(comparison['mmdet']) == 1
            assert min(*comparison['ours'], *comparison['mmdet'], comparison['ratio']) > 0
    assert [row['name'] for row in results['matching']['comparisons']][:2] == [
        '100 proposals, 5 boxes',
        '100 proposals, 30 boxes',
    ]
    # Only here evaluation measures it in its own processes; see tests/analysis/benchmark/test_evaluation.py.
    peak = results['evaluation']['comparisons'][1]
    assert (peak['name'], peak['unit']) == (PEAK, 'B')
    assert (results['inference']['setting']['batch'], results['train']['setting']['batch']) == (1, 2)


def test_rows_of_the_fixed_list_find_what_they_name(found):
    names = {result['what']: [row['name'] for row in result['comparisons']] for result in found['json']['results']}
    rows = [row for row in rows_for('cpu') if row.what not in ('shipped', 'memory', 'loading')]
    assert {row.what for row in rows} <= set(WHATS)
    for row in rows:
        assert row.comparison in names[row.what], row.name


def test_files(found):
    out = found['folder'] / 'out'
    assert sorted(path.name for path in out.iterdir()) == ['benchmark.json', 'benchmark.md']
    assert json.loads((out / 'benchmark.json').read_text()) == found['json']
    report = (out / 'benchmark.md').read_text()
    assert report in found['stdout']
    assert '- command: `python tools/analysis/benchmark.py train roi' in report
    assert '1 thread\n' in report
    for line in ('| training step |', '| matching |', '| COCO evaluation |'):
        assert line in report
    assert 'Traceback' not in found['stdout']


def test_growth(benchmark, tiny_model, tmp_path, monkeypatch):
    """All but the processes for the memory, which the run above has."""
    peaks = [Comparison(growth.PEAK, 'B', (1 << 30,), (1 << 31,))]
    monkeypatch.setattr(growth, 'measure_memory', lambda setting: Result('memory', setting, peaks, []))
    grow = ['--grow', 'stages=1,2', 'side=64', '--rounds', 1, '--out', tmp_path / 'new']
    benchmark('growth', '--model', tiny_model, '--size', 64, 96, *grow)
    assert sorted(path.name for path in tmp_path.glob('new/*')) == [
        'benchmark.json',
        'benchmark.md',
        'growth_side.png',
        'growth_stages.png',
    ]
    first, second = json.loads((tmp_path / 'new/benchmark.json').read_text())['results']
    assert [row['name'] for row in first['comparisons']] == [
        '1: training step',
        '1: peak of a training step',
        '2: training step',
        '2: peak of a training step',
    ]
    assert len(second['comparisons']) == 2
    report = (tmp_path / 'new/benchmark.md').read_text()
    assert '![growth_stages.png](growth_stages.png)' in report and '## growth: By stages' in report


def test_options_reach_the_setting(benchmark, tool, tiny_model, monkeypatch, capsys):
    asked = []

    def measure(what, setting):
        asked.append((what, setting))
        return Result(what, setting, [Comparison('it', 's', (1.0,), (2.0,))], [])

    monkeypatch.setattr(tool, 'measure', measure)
    options = ['--batch', 3, '--size', 64, 96, '--proposals', 7, '--stages', 1, '--boxes', 2, '--rounds', 4]
    options += ['--ours-dtype', 'bfloat16', '--channels-last', '--compile', '--fuse-conv-bn', '--fused']
    benchmark('train', 'roi', '--model', tiny_model, *options)
    (first, setting), (second, same) = asked
    assert (first, second) == ('train', 'roi') and setting == same
    assert setting.size == (64, 96) and (setting.batch, setting.proposals, setting.stages) == (3, 7, 1)
    assert (setting.boxes, setting.rounds, setting.dtype, setting.ours_dtype) == (2, 4, 'float32', 'bfloat16')
    assert setting.channels_last and setting.compile and setting.fuse_conv_bn and setting.fused
    assert '2.00 ×' in capsys.readouterr().out


@pytest.mark.parametrize(('images', 'asked'), [([], None), (['--images', 30], 30)])
def test_loading(benchmark, tool, monkeypatch, images, asked):
    result = Result('loading', Setting(), [Comparison('it', 's', (1.0,), (2.0,))], [], title='some images')
    calls = []
    monkeypatch.setattr(tool, 'measure', lambda what, setting: calls.append((what, None)) or result)
    monkeypatch.setattr(tool, 'measure_loading', lambda setting, count: calls.append(('loading', count)) or result)
    benchmark('loading', '--threads', 1, *images)
    assert calls == [('loading', asked)]


def test_the_fixed_list_and_growth(benchmark, tool, tmp_path, monkeypatch, capsys):
    """All rows and all axes are asked for; the measurements themselves are tested elsewhere."""

    def measure(what, setting):
        names = [row.comparison for row in rows_for('cpu') if row.what == what]
        return Result(what, setting, [Comparison(name, 's', (1.0,), (2.0,)) for name in set(names)], [])

    axes = []

    def measure_growth(setting, axis, values):
        axes.append((axis, setting.model, setting.rounds))
        points = tuple(Comparison('', 's', (1.0,), (2.0,)) for _ in values)
        return growth.Growth(axis, values, points, points), Result('growth', setting, list(points), [])

    monkeypatch.setattr(module, 'measure', measure)
    monkeypatch.setattr(tool, 'measure_growth', measure_growth)
    benchmark('all', '--out', tmp_path)
    assert axes == [(axis, 'lite0', 3) for axis in ('side', 'proposals', 'stages', 'boxes')]
    assert len(list(tmp_path.glob('growth_*.png'))) == 4
    report = (tmp_path / 'benchmark.md').read_text()
    assert [line for line in report.splitlines() if ' × | ≥ 7 × | **missed** |' in line]
    assert len(json.loads((tmp_path / 'benchmark.json').read_text())['targets']) == len(rows_for('cpu'))

    benchmark('all', '--only', 'roi', '--rounds', 77, '--json', tmp_path / 'one.json')
    (target,) = json.loads((tmp_path / 'one.json').read_text())['targets']
    assert target['what'] == 'roi' and target['setting']['rounds'] == 77 and len(axes) == 4
    assert '1/1 RoI features' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (['growth'], 'error: growth draws charts: say where to with --out FOLDER'),
        (['all'], 'error: growth draws charts: say where to with --out FOLDER'),
        (['all', '--only', 'nothing'], "error: --only is 'nothing', and no row on cpu has that in its name"),
        (['train', '--rounds', 0], 'error: --rounds is 0: give at least 1'),
        (['train', '--threads', 0], 'error: --threads is 0: give at least 1'),
        (['train', '--model', 'nowhere.py'], 'error: no config file nowhere.py'),
        (['train', '--dtype', 'float16'], 'error: float16 needs a GPU'),
    ],
)
def test_user_errors_are_one_sentence(benchmark, arguments, sentence):
    with pytest.raises(SystemExit) as stopped:
        benchmark(*arguments)
    assert stopped.value.code.startswith(sentence) and '\n' not in stopped.value.code


@pytest.mark.parametrize('axis', ['height=3', 'stages=1,x'])
def test_axes_that_cannot_be(benchmark, capsys, axis):
    with pytest.raises(SystemExit):
        benchmark('growth', '--grow', axis)
    assert 'argument --grow' in capsys.readouterr().err
