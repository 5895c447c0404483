"""SIGTERM and Ctrl-C save a checkpoint, and the training goes on from it as if nothing had happened."""

import os
import signal
import threading
import time
from multiprocessing import RawValue, get_context
from pathlib import Path

import pytest
from mmengine.hooks import Hook

from sparse_rcnn_ext.engine.hooks.stop_signal import SIGNALS, leave_signals
from tests.durability.compare import differences, load
from tests.durability.small_training import STACK, make_runner, train
from tests.fork_server import LIMIT

pytestmark = pytest.mark.usefixtures('mmengine_scope_and_one_thread')


class Send(Hook):
    """Sends this process, or its workers too, a signal in one iteration."""

    def __init__(self, number: int, when: int = 6, validating: bool = False, times: int = 1) -> None:
        self.number, self.when, self.validating, self.times = number, when, validating, times
        self.finished = []

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if not self.validating and runner.iter == self.when:
            for _ in range(self.times):
                os.kill(os.getpid(), self.number)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self.finished.append(runner.iter)

    def before_val_iter(self, runner, batch_idx, data_batch=None) -> None:
        if self.validating:
            os.kill(os.getpid(), self.number)


def stopped(folder: Path, hook: Send, **settings) -> int:
    """Train until the signal; the exit code."""
    runner = make_runner(folder, **settings)
    runner.register_hook(hook)
    with pytest.raises(SystemExit) as exit_:
        train(runner)
    return exit_.value.code


@pytest.mark.parametrize('settings', [dict(), dict(iterations=20, interval=5, sampler='InfiniteSampler')])
@pytest.mark.parametrize(('number', 'code'), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize('when', [0, 4, 6, 9])
def test_saves_and_goes_on(tmp_path, capfd, number, code, settings, when):
    """In the middle and at the end of an epoch, between steps whose gradients are added up, and at a regular save."""
    train(make_runner(tmp_path / 'whole', **settings))
    last = 'iter_20.pth' if settings else 'epoch_4.pth'
    hook = Send(number, when)
    assert stopped(tmp_path / 'run', hook, **settings) == code
    assert hook.finished == list(range(when + 1))
    name = (tmp_path / 'run/last_checkpoint').read_text()
    assert load(tmp_path / 'run' / name)['meta']['iter'] == when + 1
    printed = capfd.readouterr()
    signal_name = signal.Signals(number).name
    assert f'{signal_name}: saving a checkpoint after this iteration' in printed.err
    assert (
        f'Stopped by {signal_name} after iteration {when + 1}, saved as {tmp_path}/run/{name}: --resume' in printed.out
    )
    train(make_runner(tmp_path / 'run', resume=True, **settings))
    assert differences(tmp_path / 'whole' / last, tmp_path / 'run' / last) == []
    assert not (tmp_path / 'run/interrupted.pth').exists()


def test_mmengine_alone_saves_nothing(tmp_path):
    signal.signal(signal.SIGTERM, lambda number, frame: exit(143))
    runner = make_runner(tmp_path, hooks=STACK)
    runner.register_hook(Send(signal.SIGTERM, when=3))
    with pytest.raises(SystemExit):
        train(runner)
    assert not list(tmp_path.glob('*.pth'))


@pytest.mark.parametrize('interval', [1, 3])
def test_in_a_validation(tmp_path, interval):
    """It is not waited for; the weights that are saved are not the averaged ones, which the model has then."""
    settings = dict(validate=True, epochs=2, interval=interval)
    train(make_runner(tmp_path / 'whole', **settings))
    assert stopped(tmp_path / 'run', Send(signal.SIGTERM, validating=True), **settings) == 143
    assert (tmp_path / 'run/last_checkpoint').read_text() == ('epoch_1.pth' if interval == 1 else 'interrupted.pth')
    train(make_runner(tmp_path / 'run', resume=True, **settings))
    assert differences(tmp_path / 'whole/epoch_2.pth', tmp_path / 'run/epoch_2.pth') == []


def test_second_ctrl_c_stops_at_once(tmp_path):
    runner = make_runner(tmp_path)
    hook = Send(signal.SIGINT, times=2)
    runner.register_hook(hook)
    with pytest.raises(KeyboardInterrupt):
        train(runner)
    assert hook.finished == list(range(6))


def test_torchrun_passes_on_what_the_terminal_sent(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCHELASTIC_RUN_ID', 'job')
    assert stopped(tmp_path, Send(signal.SIGINT, times=2)) == 130


def test_handlers_are_given_back(tmp_path):
    before = [signal.getsignal(number) for number in SIGNALS]
    train(make_runner(tmp_path, epochs=1))
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_in_another_thread_signals_stay_as_they_are(tmp_path):
    thread = threading.Thread(target=lambda: train(make_runner(tmp_path, epochs=1)))
    thread.start()
    thread.join()
    assert (tmp_path / 'epoch_1.pth').is_file()


def has_started(worker: object) -> bool:
    """Whether it ignores Ctrl-C; the first batch may come before all workers are there."""
    ignored = Path(f'/proc/{worker.pid}/status').read_text().partition('SigIgn:')[2].split()[0]
    return bool(int(ignored, 16) >> signal.SIGINT - 1 & 1)


class SendToWorkers(Send):
    """As Slurm and Ctrl-C do."""

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if runner.iter == self.when:
            end = time.monotonic() + LIMIT
            for worker in runner.train_loop.dataloader._iterator._workers:
                while not has_started(worker):
                    assert time.monotonic() < end
                    time.sleep(0.01)
                os.kill(worker.pid, self.number)
            # A worker that died raises in its process.
            time.sleep(0.3)
        super().before_train_iter(runner, batch_idx, data_batch)


@pytest.mark.parametrize('number', SIGNALS)
def test_workers_outlive_the_signal(tmp_path, number):
    hook = SendToWorkers(number, when=5)
    assert stopped(tmp_path, hook, workers=2) == 128 + number
    assert hook.finished == list(range(6))


def test_workers_end_with_the_training():
    """Their process waits for them when it exits: one that stays keeps it for ever."""
    ends = RawValue('b', False)
    context = get_context('fork')
    ready = context.Event()
    # Longer than it is waited for, so that it cannot end by itself.
    worker = context.Process(target=lambda: (leave_signals(None, ends, 0), ready.set(), time.sleep(600)))
    worker.start()
    try:
        assert ready.wait(60)
        worker.terminate()
        worker.join(0.3)
        assert worker.is_alive()
        ends.value = True
        worker.terminate()
        worker.join(60)
        assert worker.exitcode == 0
    finally:
        worker.kill()


class Fails(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        raise ArithmeticError


def test_signals_after_an_error_do_what_they_did(tmp_path):
    heard = []
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    runner = make_runner(tmp_path)
    runner.register_hook(Fails())
    with pytest.raises(ArithmeticError):
        train(runner)
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    assert heard == [signal.SIGTERM] * 2
