"""tools/ablate.py with tools that do as if: what it runs, what it keeps, and what it writes."""

import importlib
import json
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from types import ModuleType

import pytest
from mmengine.config import Config

from sparse_rcnn_ext.ablation import draw_chart, draw_curves


def run(ablate: ModuleType, *options: object) -> None:
    ablate.main(['stages', '--tables', 'tables.json', '--out', 'out', *map(str, options)])


def rows(table: str = 'stages') -> dict[str, dict]:
    return {row['name']: row for row in json.loads(Path(f'out/{table}.json').read_text())['rows']}


def test_all_rows_and_seeds(ablate, tools, monkeypatch, capsys):
    monkeypatch.setattr(ablate, 'draw_chart', draw_chart)
    run(ablate, '--seeds', 2)
    assert tools.ran[:3] == [('flops', stages, None) for stages in (1, 3, 6)]
    # All rows with one seed, then with the next.
    expected = [(tool, stages, seed) for seed in (0, 1) for stages in (1, 3, 6) for tool in ('train', 'test')]
    assert tools.ran[3:] == expected
    (trained,) = [words for words, step in zip(tools.arguments, tools.ran) if step == ('train', 6, 1)]
    assert trained[trained.index('--seed') + 1] == '1' and '--resume' in trained
    assert {name: row['ap'] for name, row in rows().items()} == {'1': 10.5, '3': 30.5, '6': 60.5}
    assert [row['is_base'] for row in rows().values()] == [False, True, True]
    text = Path('out/stages.md').read_text()
    assert '| **3** (the recipe) | 30.5 (30.0–31.0) | *39.9* | 6.00 M | 0.50 | 300.0 ms | 3 s | 30.0 ms |' in text
    assert '`recipe.py`' in text
    printed = capsys.readouterr().out
    assert text in printed and '3, seed 1: AP 31.0' in printed
    assert Path('out/stages.png').is_file()


def test_finished_runs_are_kept(ablate, tools, capsys):
    run(ablate)
    tools.ran.clear()
    run(ablate)
    assert tools.ran == []
    assert '6, seed 0: AP 60.0, known already' in capsys.readouterr().out
    run(ablate, '--seeds', 2)
    assert {step[2] for step in tools.ran} == {1} and len(tools.ran) == 6


def test_tables_share_their_rows(ablate, tools):
    """Also those that say the same in other words, and where the recipe says it."""
    run(ablate)
    tools.ran.clear()
    ablate.main(['again', '--tables', 'tables.json', '--out', 'out'])
    assert tools.ran == []
    assert {name: row['ap'] for name, row in rows('again').items()} == {'six': 60.0, 'three': 30.0}
    text = Path('out/again.md').read_text()
    assert '| six | 60.0 | +30.0 |' in text and '| **three** (the recipe) | 30.0 | – |' in text


def test_result_of_before_steps_were_kept(ablate, tools):
    run(ablate)
    (result,) = Path('out/runs').glob('three_*/seed-0/result.json')
    content = json.loads(result.read_text())
    assert content.pop('step_seconds') == 0.3
    result.write_text(json.dumps(content))
    run(ablate)
    assert [row['step_seconds'] for row in rows().values()] == [0.1, None, 0.6]
    assert '| 0.50 | – | 3 s | 30.0 ms |' in Path('out/stages.md').read_text()


def test_rows_of_another_folder(ablate, tools):
    Path('upgrades').mkdir()
    Path('six.py').rename('upgrades/six.py').write_text("_base_ = '../recipe.py'\nmodel = dict(stages=6)\n")
    Path('tables').mkdir()
    tables = json.loads(Path('tables.json').read_text())[:1]
    tables[0]['rows'] = [
        dict(name='6', config='../upgrades/six.py', paper_ap=None),
        dict(name='3', config='../three.py', paper_ap=None, default=True),
    ]
    Path('tables/tables.json').write_text(json.dumps(tables))
    ablate.main(['stages', '--tables', 'tables/tables.json', '--out', 'out'])
    assert {name: row['gain'] for name, row in rows().items()} == {'6': 30.0, '3': None}


@pytest.mark.parametrize('options', [['--epochs', 2], ['--cfg-options', 'model.depth=9']], ids=str)
def test_other_settings_are_other_runs(ablate, tools, options):
    run(ablate)
    tools.ran.clear()
    run(ablate, *options)
    assert len(tools.ran) == 9
    tools.ran.clear()
    run(ablate)
    assert tools.ran == [], 'what was known is known still'


def test_edited_row_is_run_again(ablate, tools):
    run(ablate)
    tools.ran.clear()
    Path('six.py').write_text("_base_ = 'recipe.py'\nmodel = dict(stages=7)\n")
    run(ablate)
    assert tools.ran == [('flops', 7, None), ('train', 7, 0), ('test', 7, 0)]


def test_row_wins_over_an_option(ablate, tools):
    run(ablate, '--cfg-options', 'model.stages=2')
    assert {name: row['ap'] for name, row in rows().items()} == {'1': 10.0, '3': 20.0, '6': 60.0}


def test_epochs(ablate, tools):
    run(ablate, '--epochs', 2)
    (config,) = Path('out/runs').glob('six_*/config.py')
    cfg = Config.fromfile(config)
    assert cfg.train_cfg.max_epochs == 2 and cfg.param_scheduler[0].T_max == 2
    assert cfg.default_hooks.checkpoint == dict(type='CheckpointHook', interval=1, max_keep_ckpts=2)
    assert '2 epochs' in Path('out/stages.md').read_text()


def test_curves(ablate, tools, monkeypatch):
    monkeypatch.setattr(ablate, 'draw_curves', draw_curves)
    run(ablate)
    assert not Path('out/stages_curves.png').exists()
    run(ablate, '--val-interval', 2)
    assert Path('out/stages_curves.png').is_file()
    assert [row['runs'][0]['curve'] for row in rows().values()] == [[[10, 10 * n / 10, 10 * n]] for n in (1, 3, 6)]


def test_interrupted_run_goes_on(ablate, tools):
    tools.interrupted_at = ('train', 3, 0)
    with pytest.raises(KeyboardInterrupt):
        run(ablate)
    assert rows()['1']['ap'] == 10.0 and rows()['3']['ap'] is None, 'the table so far'
    (folder,) = Path('out/runs').glob('three_*/seed-0')
    assert (folder / 'epoch_1.pth').is_file() and not (folder / 'epoch_2.pth').exists()
    tools.interrupted_at = None
    tools.ran.clear()
    run(ablate)
    assert tools.ran == [(tool, stages, 0) for stages in (3, 6) for tool in ('train', 'test')]


def test_finished_training_is_only_tested(ablate, tools):
    tools.broken = {('test', 3, 0)}
    with pytest.raises(SystemExit):
        run(ablate)
    tools.broken.clear()
    tools.ran.clear()
    run(ablate)
    assert tools.ran == [('test', 3, 0)]


def test_lost_checkpoint_is_trained_anew(ablate, tools):
    """A record without its checkpoint would stop train.py --resume."""
    tools.broken = {('test', 3, 0)}
    with pytest.raises(SystemExit):
        run(ablate)
    (folder,) = Path('out/runs').glob('three_*/seed-0')
    (folder / 'epoch_4.pth').unlink()
    tools.broken = {('train', 3, 0)}
    with pytest.raises(SystemExit):
        run(ablate)
    assert not (folder / 'last_checkpoint').exists()


def test_failed_row_does_not_stop_the_others(ablate, tools, capsys):
    tools.broken = {('train', 3, 0), ('flops', 1, None)}
    with pytest.raises(SystemExit, match=r'^error: 2 of 3 rows failed \(1, 3\): see above$'):
        run(ablate)
    assert ('train', 1, 0) not in tools.ran, 'a model that cannot be built is not trained'
    assert {name: row['ap'] for name, row in rows().items()} == {'1': None, '3': None, '6': 60.0}
    assert 'ValueError: no luck' in rows()['3']['failures'][0]
    text = Path('out/stages.md').read_text()
    assert '## Failed: 3' in text and 'ValueError: no luck' in text and '## Failed: 6' not in text
    assert '3, seed 0: failed, the others go on' in capsys.readouterr().out
    tools.broken.clear()
    tools.ran.clear()
    run(ablate)
    assert tools.ran == [('flops', 1, None), *((tool, stages, 0) for stages in (1, 3) for tool in ('train', 'test'))]
    assert 'Failed' not in Path('out/stages.md').read_text()


def test_two_at_once_train_a_shared_row_once(ablate, tools):
    """The second waits for the first, and takes its result."""
    row_runs = importlib.import_module('row_runs')
    launch = importlib.import_module('launch_command').Launch('none', 1, None)
    cfg = Config(dict(train_cfg=dict(max_epochs=2), model=dict(stages=4)))
    first, second = (row_runs.RowRuns(cfg, Path('out/runs/four'), launch) for _ in range(2))
    first.prepare()
    with ThreadPoolExecutor(2) as pool:
        with tools.paused:
            results = [pool.submit(runs.train_and_test, 0, print) for runs in (first, second)]
            wait(results, timeout=0.5)
            assert not any(result.done() for result in results)
        assert results[0].result() == results[1].result()
    assert sorted(tools.ran) == [('test', 4, 0), ('train', 4, 0)]
