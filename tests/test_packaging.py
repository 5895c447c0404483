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
from packaging.requirements import Requirement

from sparse_rcnn_ext import import_hooks

OPENMMLAB = {'onedl-mmcv', 'onedl-mmdetection', 'onedl-mmengine'}
UPSTREAM = {'mmcv-lite', 'mmdet', 'mmengine'}
STACKS = ('runtime', 'upstream')
PYTHONS = ('3.10', '3.11', '3.12', '3.13', '3.14')
MARKER = r'python_version (<|>=) "3\.1[0-9]"'
EXTRAS = ['tests.txt', 'deploy.txt', 'demo.txt']
TFLITE = 'tflite.txt'
"""Of an environment of its own."""
MAX_LINES = 250


def read_requirements(path: Path) -> list[Requirement]:
    """The lines of a file of requirements; each has to pin one version, for all Pythons or for those of a marker."""
    requirements = []
    for line in path.read_text().splitlines():
        if line and not line.startswith('#'):
            requirement = Requirement(line)
            assert re.fullmatch(r'==[0-9][0-9.]*', str(requirement.specifier)), f'{path}: {line!r} is not NAME==VERSION'
            assert not requirement.marker or re.fullmatch(MARKER, str(requirement.marker)), f'{path}: {line!r}'
            requirements.append(requirement)
    return requirements


def read_pins(path: Path) -> dict[str, str]:
    """Name and version of what a file pins for the Python that runs."""
    fit = [one for one in read_requirements(path) if one.marker is None or one.marker.evaluate()]
    return {requirement.name: str(requirement.specifier).removeprefix('==') for requirement in fit}


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
    runtime, upstream = (set(read_requirements(repo_dir / f'requirements/{name}.txt')) for name in STACKS)
    assert {requirement.name for requirement in runtime - upstream} == OPENMMLAB
    assert {requirement.name for requirement in upstream - runtime} == UPSTREAM


@pytest.mark.parametrize('name', [*(f'{stack}.txt' for stack in STACKS), *EXTRAS, TFLITE])
@pytest.mark.parametrize('python', PYTHONS)
def test_each_package_has_one_version_for_each_python(repo_dir: Path, name: str, python: str) -> None:
    requirements = read_requirements(repo_dir / 'requirements' / name)
    environment = dict(python_version=python)
    names = [one.name for one in requirements if one.marker is None or one.marker.evaluate(environment)]
    assert sorted(names) == sorted({one.name for one in requirements})


def test_package_metadata_names_the_pins(repo_dir: Path) -> None:
    if 'sparse-rcnn-ext' not in installed_names():
        pytest.skip('the package is not installed here: make install does it')
    pins = set()
    for name in ['runtime.txt', *EXTRAS, TFLITE]:
        for pin in read_requirements(repo_dir / 'requirements' / name):
            extra = [] if name == 'runtime.txt' else [f'extra == "{name.removesuffix(".txt")}"']
            markers = ' and '.join([str(pin.marker)] * bool(pin.marker) + extra)
            pins.add(Requirement(f'{pin.name}{pin.specifier}' + f'; {markers}' * bool(markers)))
    assert set(map(Requirement, importlib.metadata.requires('sparse-rcnn-ext'))) == pins


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
    # A server that is nobody's requirement, docs/serving.md says which version was run; a converter and runtimes which
    # requirements/tflite.txt and runtime_table/kinds.py pin, each imported in an environment of its own.
    alone = 'sparse_rcnn_ext/export/runtime_table/alone.py'
    runtimes = {f'{alone} imports {name}' for name in ('MNN', 'coremltools', 'ncnn', 'tract', 'tvm')}
    converter = 'sparse_rcnn_ext/export/files.py imports litert_torch'
    assert unknown == {'examples/serving/triton.py imports pytriton', converter, *runtimes}


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
    assert import_hooks.REPAIR.endswith(f'opencv-python-headless=={version}')
