"""What the suite as a whole does: order, the memory of its processes, and things that all of them share."""

import ctypes
import fcntl
import gc
import os
import platform
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fork_server import look_for_garbage_seldom

# These on both stacks, all others on the default one: what can depend on which mmdet, mmengine and mmcv is installed.
STACK = (
    'convert/',
    'datasets/',
    'engine/',
    'evaluation/',
    'models/',
    'parity/',
    'task_modules/',
    'configs/test_recipes.py',
    'configs/test_backbones.py',
    'report/test_hook.py',
    'tools/test_checkpoint_fit.py',
    'tools/test_export.py',
    'tools/test_import_order.py',
    'tools/test_train_test.py',
    'test_errors.py',
    'test_import_hooks.py',
    'test_packaging.py',
    'test_portable_ops.py',
)
# But for these, which take long and depend on torch, Python and the system alone.
ONCE = (
    'datasets/check/test_picture.py',
    'engine/checkpoints/test_verified_download.py',
    'engine/config/test_image_size.py',
    'engine/speed/test_compilation.py',
    'engine/speed/test_fast_inference.py',
    'engine/training/test_lost_worker.py',
    'engine/training/test_signals_at_fork.py',
    'evaluation/test_box_evaluation.py',
    'models/backbones/test_timm_weights.py',
    'models/necks/test_bifpn.py',
    'models/test_extreme_values.py',
    'models/test_stage_dial.py',
    'models/upgrades/test_iou_class_losses.py',
    'models/upgrades/test_precision.py',
    'task_modules/test_one_to_many_assigner.py',
    'task_modules/test_position_modulated_cost.py',
)
# From glibc's malloc.h, with the values that its processes start with.
DEFAULTS_OF_MALLOC = {'M_TRIM_THRESHOLD': (-1, 128 * 1024), 'M_MMAP_MAX': (-4, 65536)}
ENOUGH = 7 * 2**27
"""Bytes; a test process is nearly as large once everything is imported."""

peaks = pytest.StashKey[dict]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs on both stacks; long tests first, or one that begins last keeps the others waiting."""
    tests = Path(__file__).parent
    for item in items:
        path = item.path.relative_to(tests).as_posix()
        if path.startswith(STACK) and path not in ONCE:
            item.add_marker('stack')
    items.sort(key=lambda item: item.get_closest_marker('slow') is None)


def pytest_collection_finish() -> None:
    """What is imported by now stays."""
    look_for_garbage_seldom()


def memory_held() -> int:
    """Bytes of this process that are in memory; 0 where the system does not say."""
    statm = Path('/proc/self/statm')
    return int(statm.read_text().split()[1]) * resource.getpagesize() if statm.exists() else 0


@pytest.fixture(scope='module', autouse=True)
def _memory_goes_back() -> Iterator[None]:
    """A training keeps the memory that it frees, for its process (see CpuMemoryHook); here that is the test process."""
    yield
    if platform.libc_ver()[0] != 'glibc':
        return
    libc = ctypes.CDLL(None)
    for option, value in DEFAULTS_OF_MALLOC.values():
        libc.mallopt(option, value)
    if memory_held() > ENOUGH:
        gc.collect()
        # What is left outlives the file: to look at all of it again after each file takes a tenth of the whole run.
        gc.freeze()
        libc.malloc_trim(0)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Say how large this process was at most."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if hasattr(session.config, 'workeroutput'):
        session.config.workeroutput['peak'] = peak
    else:
        session.config.stash.setdefault(peaks, {})['main'] = peak


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node) -> None:
    """Take what a process of pytest-xdist says at its end."""
    found = node.config.stash.setdefault(peaks, {})
    found[node.gateway.id] = getattr(node, 'workeroutput', {}).get('peak', float('nan'))


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    """The peak of each test process, in GiB."""
    found = ', '.join(f'{name} {peak:.2f}' for name, peak in sorted(config.stash.get(peaks, {}).items()))
    terminalreporter.write_line(f'peak memory of the test processes in GiB: {found}')


@pytest.fixture(scope='session')
def made_once(tmp_path_factory) -> Callable[[str, Callable[[Path], object]], Path]:
    """``made_once(name, make)``: a folder that ``make(folder)`` fills, in whichever test process asks first.

    The others wait for it. Tests only read what is in it.
    """
    root = tmp_path_factory.getbasetemp()
    if 'PYTEST_XDIST_WORKER' in os.environ:
        root = root.parent  # of all processes of this run

    def folder_of(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = root / 'shared' / name, root / 'shared' / f'{name}.done'
        folder.parent.mkdir(exist_ok=True)
        with folder.with_name(f'{name}.lock').open('w') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return folder_of
