"""Documented commands that are no tools of ours: each kind is held to what it names, and nothing is installed."""

import ast
import inspect
import json
import os
import re
import subprocess
import textwrap
from pathlib import Path

import mmengine.visualization  # noqa: F401  registers the backends
import pytest
from mmengine.config import Config
from mmengine.registry import VISBACKENDS

from tests.docs.other_tests import strings_of
from tests.docs.pages import find_pages

BACKEND_ROW = re.compile(r'^\| `(\w+VisBackend)` \| `pip install (\S+)` \| ?(.*?) ?\|$', re.MULTILINE)


def typed(documented, program: str) -> set[tuple[str, ...]]:
    """The arguments of every documented command of ``program``."""
    return {command.words[1:] for command in documented if command.words[0] == program}


def test_make(documented, repo_dir):
    """Targets exist and would do something; test_setup.py and test_quickstart.py run what they do."""
    commands = typed(documented, 'make')
    assert {('quickstart',), ('test',)} <= commands
    inherited = {
        name: value for name, value in os.environ.items() if name not in ('MAKEFLAGS', 'VENV', 'STACK', 'PYTHON')
    }
    for arguments in commands:
        command = ['make', '--dry-run', '--always-make', *arguments]
        done = subprocess.run(command, cwd=repo_dir, env=inherited, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert 'tools/setup/install.sh' in done.stdout


def test_make_targets_named_in_the_text(repo_dir):
    text = '\n'.join(path.read_text(encoding='utf-8') for path in find_pages(repo_dir))
    targets = set(re.findall(r'`make ([a-z]+)', text))
    phony = re.search(r'^\.PHONY: (.+)$', (repo_dir / 'Makefile').read_text(), re.MULTILINE)[1].split()
    assert {'install', 'quickstart'} <= targets <= set(phony)


def test_activate(documented, repo_dir):
    """The environment that make builds by default."""
    venv = re.search(r'^VENV \?= (\S+)$', (repo_dir / 'Makefile').read_text(), re.MULTILINE)[1]
    assert typed(documented, 'source') <= {(f'{venv}/bin/activate',), (f'{venv}/tflite/bin/activate',)}
    text = (repo_dir / 'README.md').read_text(encoding='utf-8')
    assert set(re.findall(r'`source (\S+)`', text)) == {f'{venv}/bin/activate'}


def test_pip(documented, repo_dir):
    """Requirements are files of ours, whose pins test_packaging.py finds installed; the rest a test installs indeed."""
    bare = 'tests/export/runtime/test_bare_environment.py::test_detections_are_the_same'
    for arguments in typed(documented, 'pip'):
        if arguments[:2] == ('install', '-r'):
            assert (repo_dir / arguments[2]).is_file() and len(arguments) == 3
            pinned = strings_of(repo_dir, 'tests/test_packaging.py::test_installed_versions_are_the_pins')
            assert Path(arguments[2]).name in pinned
        elif arguments == ('install', '--no-deps', 'PATH_OF_THIS_REPOSITORY'):
            assert strings_of(repo_dir, bare)
        elif arguments == ('install', 'nvidia-pytriton'):
            assert 'needs nvidia-pytriton' in (repo_dir / 'examples/serving/triton.py').read_text()
        else:
            assert arguments == ('install', 'onnxruntime', 'numpy', 'pillow')
            assert {'numpy', 'Pillow'} <= strings_of(repo_dir, bare)


def test_docker(documented, repo_dir):
    """An image is built of this folder, run under its name, and gives back what lies in its folder."""
    commands = sorted(typed(documented, 'docker'))
    assert [command[0] for command in commands] == ['build', 'cp', 'run']
    build, copy, run = commands
    assert build[1] == '--tag' and build[3:] == ('.',) and (repo_dir / 'Dockerfile').is_file()
    assert run[-1] == build[2]
    name, memory = (run[run.index(option) + 1] for option in ('--name', '--shm-size'))
    assert re.fullmatch(r'\d+g', memory) and len(run) == 6
    folder = re.search(r'^WORKDIR (\S+)$', (repo_dir / 'Dockerfile').read_text(), re.MULTILINE)[1]
    assert copy[1:] == (f'{name}:{folder}/work_dirs', '.')


def test_javascript(documented, repo_dir):
    """The packages of the folder whose program a test runs."""
    (install,) = typed(documented, 'npm')
    folder = 'examples/javascript'
    assert install == ('install', '--prefix', folder) and (repo_dir / folder / 'package.json').is_file()
    (run,) = typed(documented, 'node')
    assert run == (f'{folder}/node.mjs', 'model.onnx', 'photo.jpg')
    assert {'node', 'node.mjs'} <= strings_of(repo_dir, 'tests/export/test_javascript.py::test_node')


def test_examples_of_python(documented, repo_dir):
    """A test runs each with as many arguments."""
    tests = {'client.py': ('test_client', 4), 'triton.py': ('test_triton_by_pip', 2)}
    commands = [words for words in typed(documented, 'python') if words[0].startswith('examples/')]
    assert len(commands) == len(tests)
    for file, *arguments in commands:
        test, count = tests[Path(file).name]
        assert (repo_dir / file).is_file() and len(arguments) == count
        assert file in strings_of(repo_dir, f'tests/export/test_serving.py::{test}')


def test_model_server(documented):
    """It is no package to install: its options are looked at, and that openvino knows the property."""
    properties = pytest.importorskip('openvino.properties.hint', reason='pip install -r requirements/deploy.txt')
    (command,) = typed(documented, 'ovms')
    options = dict(zip(command[::2], command[1::2], strict=True))
    assert set(options) == {'--model_name', '--model_path', '--rest_port', '--plugin_config'}
    assert json.loads(options['--plugin_config']) == {properties.inference_precision(): 'f32'}


def backend_rows(repo_dir: Path) -> list[tuple[str, str, str]]:
    """Type, package and arguments of each row of docs/reports.md."""
    return BACKEND_ROW.findall((repo_dir / 'docs/reports.md').read_text(encoding='utf-8'))


def test_every_backend_of_mmengine_is_documented(repo_dir):
    assert {name for name, *_ in backend_rows(repo_dir)} == set(VISBACKENDS.module_dict) - {'LocalVisBackend'}


def test_backends_take_their_config_line(repo_dir, tmp_path):
    """They build with the arguments of the page, and import the package that it installs."""
    needs = {'tensorboard': 'torch.utils.tensorboard'}
    for name, package, arguments in backend_rows(repo_dir):
        given = eval(f'dict({arguments.strip("`")})')
        backend = VISBACKENDS.build(dict(type=name, save_dir=str(tmp_path), **given))
        tree = ast.parse(textwrap.dedent(inspect.getsource(type(backend))))
        imports = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imports |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert needs.get(package, package) in imports, name


def test_config_line_reaches_the_visualizer(repo_dir, tmp_path):
    """Over a recipe, as docs/reports.md and docs/training.md tell."""
    text = (repo_dir / 'docs/reports.md').read_text(encoding='utf-8')
    (line,) = re.findall(r'^visualizer = .+$', text, re.MULTILINE)
    config = tmp_path / 'mine.py'
    config.write_text(f"_base_ = '{repo_dir}/configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py'\n{line}\n")
    types = [backend.type for backend in Config.fromfile(config).visualizer.vis_backends]
    assert types == ['LocalVisBackend', 'TensorboardVisBackend']
