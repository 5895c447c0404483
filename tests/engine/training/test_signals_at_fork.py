"""Processes that are forked in a training end by SIGTERM, as the workers of a Pool have to."""

import os
import signal
import time
from multiprocessing import get_context

from mmengine.hooks import Hook
from mmengine.registry import init_default_scope

from sparse_rcnn_ext.engine.training.workers import restore_at_fork
from tests.durability.small_training import make_runner, train

FORKS = 60


def wait_for(lock: object) -> None:
    """As the workers of a Pool do; a handler of Python's that comes just before has no effect on it."""
    while True:
        lock.acquire()
        lock.release()


class Forks(Hook):
    """Forks in an iteration, as a Pool does, and ends the children by SIGTERM, some before Python is set up in them."""

    codes: list[int] | None = None

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if self.codes is None:
            self.codes = []
            lock = get_context('fork').Lock()
            for number in range(FORKS):
                child = os.fork()
                if not child:
                    wait_for(lock)
                time.sleep(number * 1e-5)
                with lock:
                    os.kill(child, signal.SIGTERM)
                    self.codes.append(exit_code(child))
                if self.codes[-1] is None:
                    return


def exit_code(child: int) -> int | None:
    """None: it did not end."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(1e-3)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def test_forked_processes_end(tmp_path):
    init_default_scope('mmengine')
    runner = make_runner(tmp_path)
    hook = Forks()
    runner.register_hook(hook)
    train(runner)
    assert hook.codes == [-signal.SIGTERM] * FORKS


def test_handler_that_is_not_in_place_any_more():
    """As after a training that failed, whose signals somebody else has taken over since."""
    restore_at_fork({signal.SIGTERM: lambda number, frame: None}, ours=lambda number, frame: None)
    try:
        child = os.fork()
        if not child:
            wait_for(get_context('fork').Semaphore(0))
        os.kill(child, signal.SIGTERM)
        assert exit_code(child) == -signal.SIGTERM
    finally:
        restore_at_fork({})
