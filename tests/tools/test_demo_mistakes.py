"""What tools/demo.py says where it cannot start."""

import importlib
import re
import shlex
import socket
import sys
from collections.abc import Callable

import pytest

from tests.prediction.conftest import tiny_detector  # noqa: F401  a fixture

pytest.importorskip('gradio', reason='gradio is not installed: pip install -r requirements/demo.txt')


@pytest.fixture
def demo(tiny_detector, repo_dir, monkeypatch) -> Callable[[str], str]:  # noqa: F811
    """``demo(options)`` runs the tool in this process, and returns the sentence that it ends with."""
    monkeypatch.syspath_prepend(repo_dir / 'tools')
    tool = importlib.import_module('demo')

    def run(options: str) -> str:
        with pytest.raises(SystemExit) as stop:
            tool.main([*map(str, tiny_detector), *shlex.split(options)])
        return str(stop.value)

    return run


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        ('--score-thr 30', '--score-thr is 30.0: give a number from 0 to 1'),
        ('--port 0', '--port is 0: give a number from 1 to 65535'),
        ('--max-mb 0', '--max-mb is 0: give more than 0'),
        ('--max-megapixels nan', '--max-megapixels is nan: give more than 0'),
        ('--stages 4', 'model.test_cfg.num_stages is 4, and the model has 3 stages'),
    ],
)
def test_mistakes_end_in_one_sentence(demo, port, options, sentence):
    options = options if '--port' in options else f'{options} --port {port}'
    assert demo(options).startswith(f'error: {sentence}')


def test_port_that_is_taken(demo, port):
    with socket.create_server(('127.0.0.1', port)):
        assert re.fullmatch(
            rf'error: --port {port} is not to be had \(Address already in use\): give another, such as \d+',
            demo(f'--port {port}'),
        )


def test_without_gradio(demo, monkeypatch):
    import sparse_rcnn_ext.demo as package

    for name in ('handlers', 'page', 'server', 'style'):
        monkeypatch.delitem(sys.modules, f'{package.__name__}.{name}', raising=False)
        monkeypatch.delattr(package, name, raising=False)
    monkeypatch.setitem(sys.modules, 'gradio', None)
    sentence = demo('')
    assert sentence.startswith('error: the page needs gradio (')
    assert sentence.endswith('): pip install -r requirements/demo.txt')
