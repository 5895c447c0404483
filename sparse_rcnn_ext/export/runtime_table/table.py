"""Runs a file in each runtime, compares and times, and writes the table."""

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.export.check import TOLERANCES, compare
from sparse_rcnn_ext.export.runtime import Detections, Detector

from .kinds import BASE, Runtime

SECONDS = 1800
"""That a runtime may take for one pass."""
PASSES = 3
"""In turns through all runtimes, so that none has the machine in its best hour alone."""


class Row(NamedTuple):
    """What became of one runtime."""

    name: str
    version: str
    ending: str
    found: str
    """How its detections compare, or why there are none."""
    ratio: float | None
    """Its time to that of :data:`BASE`; None where it did not run."""
    advice: str


def measure(
    file: Path, images: Sequence[np.ndarray], runtimes: dict[str, Runtime], folder: Path, threads: int, rounds: int
) -> list[Row]:
    """Run a file in runtimes, each in a process and an environment of its own.

    Args:
        file: Ends in .onnx, of fixed size; files of other formats are looked for beside it, under its name.
        images: Each (H, W, 3) uint8 RGB.
        runtimes: By name; :data:`BASE` is one of them.
        folder: Where environments are made, and kept for the next time.
        threads: For runtimes that can be told.
        rounds: Measurements of each in each of :data:`PASSES` passes.

    Raises:
        UserError: If the file takes any size, or :data:`BASE` itself fails.
    """
    detector = Detector(file, threads)
    if detector.metadata['size'] is None:
        raise UserError(f'{file} takes any size, which not every runtime can: export one without --dynamic')
    # Programs start in folders of their own.
    folder = folder.absolute()
    inputs = folder / 'inputs'
    _write_inputs(detector, images, inputs)
    results: dict[str, dict] = {}
    turns = [name for _ in range(PASSES) for name in runtimes]
    for turn, name in enumerate(tqdm(turns, desc='runtimes', unit='run')):
        runtime = runtimes[name]
        if turn >= len(runtimes) and (runtime.is_slow or not results[name].get('seconds')):
            continue
        result = _run(name, runtime, file, detector.metadata['size'], folder, inputs, threads, rounds)
        results[name] = result | dict(seconds=results.get(name, {}).get('seconds', []) + result.get('seconds', []))
        if name == BASE and 'error' in result:
            raise UserError(f'{file} does not run in onnxruntime: {result["error"]}')
    base = median(results[BASE]['seconds'])
    count = len(images)
    expected = _read_outputs(folder / 'outputs' / _slug(BASE), count)
    return [
        _row(name, runtime, results[name], folder / 'outputs' / _slug(name), expected, base)
        for name, runtime in runtimes.items()
    ]


def write_markdown(rows: Sequence[Row]) -> str:
    """A line for each."""
    lines = ['| runtime | version | file | detections | time | to know |', '| --- | --- | --- | --- | ---: | --- |']
    for row in rows:
        ratio = '' if row.ratio is None else f'{row.ratio:.2f} ×'
        cells = (row.name, row.version, f'`{row.ending}`', row.found.replace('|', '\\|'), ratio, row.advice)
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines) + '\n'


def _write_inputs(detector: Detector, images: Sequence[np.ndarray], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shapes = []
    for place, image in enumerate(images):
        batch = detector.prepare([image])
        batch.pixels.tofile(folder / f'{place}.images')
        batch.sizes.astype(np.int64).tofile(folder / f'{place}.sizes')
        shapes.append(batch.pixels.shape)
    (folder / 'shapes.json').write_text(json.dumps(shapes))


def _run(
    name: str, runtime: Runtime, file: Path, size: list[int], folder: Path, inputs: Path, threads: int, rounds: int
) -> dict:
    """The seconds of each round, or the error."""
    outputs = folder / 'outputs' / _slug(name)
    shutil.rmtree(outputs, ignore_errors=True)
    outputs.mkdir(parents=True)
    given = file.with_suffix(runtime.ending)
    if not given.is_file():
        return dict(error=f'no file {given.name} beside the .onnx')
    # Converters write beside what they read, and some read a size there.
    work = outputs / 'work'
    work.mkdir()
    for part in (given, given.with_suffix('.bin')):
        if part.is_file():
            shutil.copy(part, work)
    (work / 'size.json').write_text(json.dumps(size))
    if runtime.is_slow:
        inputs, rounds = _first_alone(inputs), 0
    try:
        program, cwd = _environment(name, runtime, folder / 'environments')
        script = Path(__file__).with_name(runtime.program)
        arguments = [runtime.opener, work / given.name, inputs, outputs, threads, rounds]
        command = [*program, script, *arguments]
        done = subprocess.run(
            [str(word) for word in command],
            cwd=cwd or work,
            capture_output=True,
            text=True,
            errors='replace',
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        return dict(error=f'no result in {SECONDS} s')
    except UserError as error:
        return dict(error=str(error))
    result = outputs / 'result.json'
    if not result.is_file():
        return dict(error=f'ended with exit status {done.returncode}, without a word of its own')
    return json.loads(result.read_text())


def _first_alone(inputs: Path) -> Path:
    """A folder with the first input only."""
    alone = inputs.with_name('first_input')
    alone.mkdir(exist_ok=True)
    for kind in ('images', 'sizes'):
        shutil.copy(inputs / f'0.{kind}', alone)
    (alone / 'shapes.json').write_text(json.dumps(json.loads((inputs / 'shapes.json').read_text())[:1]))
    return alone


def _environment(name: str, runtime: Runtime, folder: Path) -> tuple[list[str | Path], Path | None]:
    """What runs a program there, and the folder to start it in; made if it is not there yet."""
    if not runtime.packages:
        return [sys.executable], None
    place = folder / f'{_slug(name)}_{_slug("_".join(runtime.packages))}'
    done = place / 'installed'
    is_node = runtime.program.endswith('.mjs')
    python = place / 'bin' / 'python'
    if not done.is_file():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        if is_node:
            # Their scripts fetch parts for GPUs.
            quietly = ('--ignore-scripts', '--loglevel', 'error', '--no-save')
            _install('npm', 'install', *quietly, '--prefix', place, *runtime.packages)
        else:
            venv.create(place, with_pip=True)
            if runtime.needs_ours:
                site = next(place.glob('lib/python*/site-packages'))
                (site / 'ours.pth').write_text(sysconfig.get_path('purelib') + '\n')
            _install(python, '-m', 'pip', 'install', '--quiet', 'numpy', *runtime.packages)
        done.touch()
    return (['node'], place) if is_node else ([python], None)


def _install(*command: str | Path) -> None:
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, errors='replace')
    except FileNotFoundError:
        raise UserError(f'{command[0]} is not installed') from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        reason = next((line for line in lines if 'error' in line.lower()), lines[-1] if lines else 'no reason given')
        raise UserError(f'cannot be installed: {reason.strip()}')


def _read_outputs(folder: Path, count: int) -> list[Detections]:
    """What was found in each image that was run."""
    found = []
    for place in range(count):
        if not (folder / f'{place}.boxes').is_file():
            break
        boxes, scores = (np.fromfile(folder / f'{place}.{name}', np.float32) for name in ('boxes', 'scores'))
        found.append(Detections(boxes.reshape(-1, 4), scores, np.fromfile(folder / f'{place}.labels', np.int64)))
    return found


def _row(name: str, runtime: Runtime, result: dict, outputs: Path, expected: Sequence[Detections], base: float) -> Row:
    distribution, number = runtime.distribution
    if number is None:
        try:
            number = version(distribution)
        except PackageNotFoundError:
            number = 'not installed'
    facts = (name, number, runtime.ending)
    if 'error' in result:
        return Row(*facts, f'none: {result["error"]}', None, runtime.advice)
    if not result['seconds']:
        return Row(*facts, 'converted, not run', None, runtime.advice)
    found = _judge(_read_outputs(outputs, len(expected)), expected)
    return Row(*facts, found, median(result['seconds']) / base, runtime.advice)


def _judge(found: Sequence[Detections], expected: Sequence[Detections]) -> str:
    """In a few words, how far the detections of all images are from those expected."""
    tolerance = TOLERANCES['float32']
    try:
        # A slow one has looked at the first only.
        differences = [compare(*pair, tolerance) for pair in zip(found, expected, strict=False)]
    except ValueError as error:
        return f'WRONG: {error}'
    compared, missing = (sum(getattr(each, name) for each in differences) for name in ('compared', 'missing'))
    if not all(each.is_within(tolerance) for each in differences):
        return f'WRONG: {missing} of {compared} without a partner'
    iou, score = min(each.iou for each in differences), max(each.score for each in differences)
    return f'equal: {compared}, IoU ≥ {iou:.5f}, scores within {score:.0e}'


def _slug(name: str) -> str:
    return ''.join(letter if letter.isalnum() or letter in '.-' else '_' for letter in name)
