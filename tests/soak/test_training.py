"""A long training neither grows nor leaves anything behind, and a lost worker loses nothing."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.soak.watch import MB, Watch, children, slope
from tests.time_limits import LIMIT, SOAK_LIMIT

VALIDATED_EVERY = 200
# Of the time of the training, until all of its parts have run a few times.
WARM_UP = 0.4

pytestmark = pytest.mark.skipif(not Path('/proc/self/statm').exists(), reason='memory is read from /proc of Linux')


def settings(iterations: int, saved_every: int = 100, validated_every: int = VALIDATED_EVERY) -> dict:
    return {
        'train_cfg': dict(_delete_=True, type='IterBasedTrainLoop', max_iters=iterations, val_interval=validated_every),
        'train_dataloader.sampler': dict(_delete_=True, type='InfiniteSampler'),
        'param_scheduler': [],
        'default_hooks.logger.interval': 50,
        'default_hooks.checkpoint': dict(by_epoch=False, interval=saved_every, max_keep_ckpts=1),
        'log_processor.by_epoch': False,
    }


def train(process: subprocess.Popen, validations: int, log: Path) -> Watch:
    """Wait for a training that validates so often, and watch it."""
    watch = Watch(process.pid)
    try:
        code = process.wait(timeout=SOAK_LIMIT)
    finally:
        process.kill()
        watch.stop()
    printed = log.read_text()
    assert code == 0, printed[-3000:]
    assert len(re.findall(r'Iter\(val\) .*coco/bbox_mAP:', printed)) == validations
    return watch


def assert_nothing_is_left(watch: Watch) -> None:
    """No process of the training, and none of its shared memory."""
    for pid in watch.resident:
        assert not (command := command_of(pid)), f'process {pid} is left: {command}'
        assert not list(Path('/dev/shm').glob(f'torch_{pid}_*'))


def command_of(pid: int) -> str:
    """The command line of a training's process that still runs; empty for others."""
    try:
        command = Path(f'/proc/{pid}/cmdline').read_bytes().replace(b'\0', b' ').decode()
    except (FileNotFoundError, ProcessLookupError):
        return ''
    return command if 'tools/train.py' in command else ''


def training_workers(watch: Watch) -> list[int]:
    """The two that live as long as the training."""
    by_age = sorted(watch.resident, key=lambda pid: -len(watch.resident[pid]))
    assert by_age[0] == watch.pid
    return by_age[1:3]


def open_files(watch: Watch, start: float, end: float) -> float:
    return float(np.median([number for time, number in watch.files if start < time < end]))


def test_nothing_is_left(soak_config, start_tool, tmp_path):
    config = soak_config(**settings(VALIDATED_EVERY))
    watch = train(start_tool('train.py', config), 1, tmp_path / 'log.txt')
    assert len(watch.resident) >= 3
    assert_nothing_is_left(watch)


@pytest.mark.slow
def test_memory_and_files_stay_as_they_are(soak_config, start_tool, tmp_path):
    iterations = 2000
    config = soak_config(**settings(iterations, saved_every=500))
    watch = train(start_tool('train.py', config), iterations // VALIDATED_EVERY, tmp_path / 'log.txt')
    assert_nothing_is_left(watch)
    workers = training_workers(watch)
    start, end = watch.resident[workers[0]][0][0], watch.resident[workers[0]][-1][0]
    seconds = (end - start) / (iterations / 1000)
    for pid in (watch.pid, *workers):
        samples = [sample for sample in watch.resident[pid] if sample[0] < end]
        growth = slope(samples, start + WARM_UP * (end - start)) * seconds / MB
        who = 'the main process' if pid == watch.pid else 'a worker'
        assert growth < 1, f'{growth:.2f} MB in 1,000 iterations, of {who}: {[bytes / MB for _, bytes in samples]}'
    middle = (start + end) / 2
    assert open_files(watch, middle, end) <= open_files(watch, start, middle)


def wait_for(condition, process: subprocess.Popen, seconds: float = LIMIT) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)


def test_a_lost_worker(soak_config, start_tool, tmp_path):
    iterations, saved_every = 100000, 100
    run, log = tmp_path / 'work_dirs/soak', tmp_path / 'log.txt'
    # Without a validation, the only workers are those of the training, however late they are looked for.
    process = start_tool('train.py', soak_config(**settings(iterations, saved_every, validated_every=iterations)))
    try:
        # By then the first checkpoint is complete.
        wait_for(lambda: 'Iter(train) [   150/100000]' in log.read_text(), process)
        workers = children(process.pid)
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        assert process.wait(timeout=LIMIT) == 1
    finally:
        process.kill()
    printed = log.read_text()
    assert re.search(r'^error: a worker of the data loader died.*, most often .* with --resume$', printed, re.M)
    assert 'Traceback' not in printed
    assert not any(Path(f'/proc/{worker}').exists() for worker in workers)
    # It may have got further before the signal was sent.
    saved = int(re.fullmatch(r'iter_(\d+)\.pth', (run / 'last_checkpoint').read_text())[1])
    reached = max(map(int, re.findall(r'Iter\(train\) \[ *(\d+)/', printed)))
    assert saved > 0 and saved % saved_every == 0 and reached - saved <= saved_every
    end = saved + saved_every
    config = soak_config(**settings(end, validated_every=end))
    train(start_tool('train.py', config, '--resume'), 1, log)
    assert f'resumed epoch: 0, iter: {saved}' in log.read_text()
    assert torch.load(run / f'iter_{end}.pth', weights_only=True)['meta']['iter'] == end
