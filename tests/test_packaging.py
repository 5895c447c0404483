"""Pins, the environment that make builds, and rules for the files of the repository."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from sparse_rcnn_ext import opencv_check
from tests.time_limits import LIMIT

OPENMMLAB = {'onedl-mmcv', 'onedl-mmdetection', 'onedl-mmengine'}
UPSTREAM = {'mmcv-lite', 'mmdet', 'mmengine'}
EXTRAS = ['tests.txt', 'deploy.txt', 'demo.txt']
MAX_LINES = 250


def read_pins(path: Path) -> dict[str, str]:
    """Name and version of every line of a file of requirements; each line has to pin one version."""
    pins = {}
    for line in path.read_text().splitlines():
        if line and not line.startswith('#'):
            match = re.fullmatch(r'([A-Za-z0-9.-]+)==([0-9][0-9.]*)', line)
            assert match, f'{path}: {line!r} is not NAME==VERSION'
            pins[match[1]] = match[2]
    return pins


def installed_names() -> set[str]:
    return {distribution.name for distribution in importlib.metadata.distributions()}


def importable_names(package: str) -> set[str]:
    """What an installed package puts beside the others in site-packages; nothing if it belongs to the other stack."""
    try:
        record = importlib.metadata.distribution(package).read_text('RECORD')
    except importlib.metadata.PackageNotFoundError:
        return set()
    return {line.partition(',')[0].partition('/')[0].removesuffix('.py') for line in record.splitlines()}


def python_files(repo: Path) -> Iterator[Path]:
    """The Python files of the repository that git knows or would take; without git, all outside hidden folders."""
    command = ['git', 'ls-files', '--cached', '--others', '--exclude-standard', '*.py']
    listing = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=False)
    if listing.returncode == 0:
        yield from (repo / name for name in listing.stdout.splitlines() if (repo / name).is_file())
        return
    for path in repo.rglob('*.py'):
        if not any(part.startswith('.') for part in path.relative_to(repo).parts):
            yield path


def imported_packages(path: Path) -> set[str]:
    """Top-level names of the absolute imports in a file, those inside functions included."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition('.')[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.partition('.')[0])
    return names


def test_upstream_differs_from_runtime_in_three_packages(repo_dir: Path) -> None:
    runtime = read_pins(repo_dir / 'requirements/runtime.txt')
    upstream = read_pins(repo_dir / 'requirements/upstream.txt')
    assert set(runtime) - set(upstream) == OPENMMLAB
    assert set(upstream) - set(runtime) == UPSTREAM
    assert {name: runtime[name] for name in set(runtime) - OPENMMLAB} == {
        name: upstream[name] for name in set(upstream) - UPSTREAM
    }


def test_package_metadata_names_the_pins(repo_dir: Path) -> None:
    if 'sparse-rcnn-ext' not in installed_names():
        pytest.skip('the package is not installed here: make install does it')
    pins = set()
    for name in ['runtime.txt', *EXTRAS]:
        extra = '' if name == 'runtime.txt' else f'extra == "{name.removesuffix(".txt")}"'
        for package, version in read_pins(repo_dir / 'requirements' / name).items():
            pins.add((f'{package}=={version}', extra))
    required = {
        tuple(part.strip() for part in line.partition(';')[::2])
        for line in importlib.metadata.requires('sparse-rcnn-ext')
    }
    assert required == pins


def test_installed_versions_are_the_pins(repo_dir: Path) -> None:
    if 'sparse-rcnn-ext' not in installed_names():
        pytest.skip('not an environment that make built')
    stack = 'runtime.txt' if 'onedl-mmdetection' in installed_names() else 'upstream.txt'
    for name in (stack, *EXTRAS):
        pins = read_pins(repo_dir / 'requirements' / name)
        assert {package: importlib.metadata.version(package) for package in pins} == pins


def test_every_import_is_a_pinned_requirement(repo_dir: Path) -> None:
    runtime = set(read_pins(repo_dir / 'requirements/runtime.txt')) | UPSTREAM
    for name in ('deploy.txt', 'demo.txt'):
        runtime |= set(read_pins(repo_dir / 'requirements' / name))
    tests = set(read_pins(repo_dir / 'requirements/tests.txt'))
    own = {'sparse_rcnn_ext', 'tests', 'tools'} | {path.stem for path in (repo_dir / 'tools').rglob('*.py')}
    known = own | set(sys.stdlib_module_names) | set().union(*map(importable_names, runtime))
    known_to_tests = known | set().union(*map(importable_names, tests))
    unknown = set()
    for path in python_files(repo_dir):
        relative = path.relative_to(repo_dir)
        names = imported_packages(path) - (known_to_tests if relative.parts[0] == 'tests' else known)
        unknown.update(f'{relative} imports {name}' for name in names)
    assert unknown == set()


def test_python_files_are_short(repo_dir: Path) -> None:
    lines = {path: len(path.read_text(encoding='utf-8').splitlines()) for path in python_files(repo_dir)}
    assert len(lines) > 10
    assert {str(path.relative_to(repo_dir)): count for path, count in lines.items() if count > MAX_LINES} == {}


def test_opencv_is_headless() -> None:
    if 'sparse-rcnn-ext' not in installed_names():
        pytest.skip('not an environment that make built')
    assert re.search(r'GUI:\s+NONE', cv2.getBuildInformation())


def test_opencv_repair_names_the_pin(repo_dir: Path) -> None:
    version = read_pins(repo_dir / 'requirements/runtime.txt')['opencv-python-headless']
    assert opencv_check.REPAIR.endswith(f'opencv-python-headless=={version}')


def test_opencv_without_libgl_ends_in_one_sentence(repo_dir: Path, tmp_path: Path) -> None:
    reason = 'libGL.so.1: cannot open shared object file: No such file or directory'
    (tmp_path / 'cv2.py').write_text(f'raise ImportError({reason!r})\n')
    code = f'import sys; sys.path[:0] = {[str(tmp_path), str(repo_dir)]}; import sparse_rcnn_ext'
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=LIMIT, check=False)
    assert result.returncode != 0
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(f'ImportError: OpenCV cannot be imported ({reason}): run `make install`')
    assert opencv_check.REPAIR in last
