"""--help and mistakes end before anything that takes seconds is imported."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
HEAVY = ('cv2', 'matplotlib', 'mmcv', 'mmdet', 'mmengine', 'torch', 'onnx')
# Runs a tool and says what was imported by its end.
PROBE = f"""
import runpy, sys
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition('/')[0])
try:
    runpy.run_path(sys.argv[0], run_name='__main__')
finally:
    print('imported:', *(name for name in {HEAVY} if name in sys.modules), file=sys.stderr)
"""
# They import what their arguments name.
SLOW = ('analysis/benchmark.py', 'analysis/mmdet_tool.py', 'dataset/make_shapes_coco.py')
STARTED = sorted(
    path.relative_to(TOOLS).as_posix()
    for path in TOOLS.rglob('*.py')
    if "__name__ == '__main__'" in path.read_text() and path.relative_to(TOOLS).as_posix() not in SLOW
)


def start(tool: str, *arguments: str) -> tuple[int, list[str], list[str]]:
    """Exit code, the lines on stderr and what heavy is imported."""
    command = [sys.executable, '-c', PROBE, str(TOOLS / tool), *arguments]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    lines = done.stderr.splitlines()
    # Before the sentence of an exit, which Python prints last.
    (imported,) = (line for line in lines if line.startswith('imported:'))
    lines.remove(imported)
    return done.returncode, lines, imported.split()[1:]


@pytest.mark.parametrize('tool', STARTED)
def test_help(tool: str) -> None:
    assert start(tool, '--help') == (0, [], [])


@pytest.mark.parametrize('tool', STARTED)
def test_wrong_argument(tool: str) -> None:
    code, lines, imported = start(tool, '--no-such-option')
    assert code == 2 and imported == []
    assert 'error: ' in lines[-1]


@pytest.mark.parametrize(
    ('tool', 'others'),
    [
        ('train.py', []),
        ('test.py', ['a.pth']),
        ('predict.py', ['a.pth', 'a.jpg']),
        ('deploy/export.py', ['a.pth']),
        ('dataset/check.py', []),
    ],
)
def test_missing_config(tool: str, others: list[str]) -> None:
    code, lines, imported = start(tool, 'no/such.py', *others)
    assert (code, imported) == (1, [])
    assert lines == ['error: no config file no/such.py: give the path of one, such as those under configs/sparse_rcnn/']


def test_an_option_that_makes_no_sense() -> None:
    code, lines, imported = start('predict.py', 'no/such.py', 'a.pth', 'a.jpg', '--score-thr', '2')
    assert (code, lines, imported) == (1, ['error: --score-thr is 2.0: give a number from 0 to 1'], [])
