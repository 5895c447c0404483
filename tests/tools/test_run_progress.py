"""The bar over many trainings."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope='module')
def module(repo_dir: Path) -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(repo_dir / 'tools')
        return importlib.import_module('run_progress')


@pytest.fixture
def progress(module):
    progress = module.RunProgress(4, epochs=10)
    yield progress
    progress.close()


def test_epochs_of_a_run(progress):
    progress.see('01/01 00:00:00 - mmengine - INFO - Epoch(train)   [3][150/300]  lr: 1.0e-04  eta: 0:01:00  loss: 3')
    assert progress.bar.n == pytest.approx(0.25)
    progress.see('01/01 00:00:00 - mmengine - INFO - Epoch(train)  [10][ 30/300]  lr: 1.0e-04')
    assert progress.bar.n == pytest.approx(0.91)
    # Neither a test nor an earlier epoch moves it.
    progress.see('01/01 00:00:00 - mmengine - INFO - Epoch(test)  [200/200]    eta: 0:00:00')
    progress.see('01/01 00:00:00 - mmengine - INFO - Epoch(train)   [3][150/300]  lr: 1.0e-04')
    assert progress.bar.n == pytest.approx(0.91)
    progress.finish()
    assert progress.bar.n == 1


def test_iterations_of_a_run(module):
    progress = module.RunProgress(2, epochs=None)
    progress.see('INFO - Iter(train) [ 250/1000]  lr: 1.0e-04')
    assert progress.bar.n == pytest.approx(0.25)
    progress.finish()
    progress.see('INFO - Iter(train) [ 500/1000]  lr: 1.0e-04')
    assert progress.bar.n == pytest.approx(1.5)
    progress.close()


def test_known_runs_do_not_make_the_estimate_shorter(progress):
    progress.skip()
    progress.skip()
    progress.finish()
    state = progress.bar.format_dict
    assert (state['n'], state['initial']) == (3, 2)
    rate = (state['n'] - state['initial']) / 60
    text = progress.bar.format_meter(**(state | dict(elapsed=60, rate=rate)))
    assert '3.0 of 4 runs' in text and '01:00 left' in text


def test_restart_counts_from_nothing(progress):
    progress.bar.start_t -= 500
    progress.restart()
    assert progress.bar.format_dict['elapsed'] < 100
