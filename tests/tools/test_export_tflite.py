"""LiteRT files: written by an environment of their own, run by this one."""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from mmengine.config import Config

from sparse_rcnn_ext.export import Detector
from sparse_rcnn_ext.export.metadata import describe
from sparse_rcnn_ext.export.runtime_table.kinds import BASE, RUNTIMES
from sparse_rcnn_ext.export.runtime_table.table import measure
from sparse_rcnn_ext.models import SparseRCNN
from tests.export.examples import build_detector, check_parity, read_images

interpreter = pytest.importorskip('ai_edge_litert.interpreter', reason='pip install -r requirements/deploy.txt')


@pytest.fixture(scope='module')
def photograph(shared_dir: Path) -> Path:
    return shared_dir / 'data/coco_mini/val2017/000000397133.jpg'


@pytest.fixture(scope='module')
def detector(tiny_config: Path) -> SparseRCNN:
    return build_detector(Config.fromfile(tiny_config))


@pytest.fixture(scope='module')
def written(repo_dir, tiny_config, checkpoint, photograph, tmp_path_factory) -> tuple[Path, list[str]]:
    """The file of :func:`detector`, and what the tool said of it."""
    python = Path(sys.prefix, 'tflite/bin/python')
    if not python.is_file():
        pytest.skip('no environment that writes .tflite: make tflite')
    out = tmp_path_factory.mktemp('litert') / 'tiny.tflite'
    command = [python, repo_dir / 'tools/deploy/export.py', tiny_config, checkpoint, '--format', 'tflite']
    done = subprocess.run(
        [*command, '--out', out, '--check', photograph],
        capture_output=True,
        text=True,
        env=os.environ | dict(OMP_NUM_THREADS='1'),
    )
    assert done.returncode == 0, done.stderr
    # How far it is, is not the result.
    assert '[START] LiteRT-Torch Convert' in done.stderr and 'LiteRT-Torch' not in done.stdout
    return out, done.stdout.splitlines()


@pytest.mark.slow
def test_it_is_written_and_checked(written):
    out, lines = written
    assert lines[-6] == f'{out}: {out.stat().st_size / 1e6:.1f} MB, 2 stages, takes one image of 96 × 160'
    assert lines[-5] == 'precision: float32'
    compared = int(re.search(r'over 0\.05: (\d+) compared, 0 without a partner', lines[-3])[1])
    assert compared > 10


@pytest.mark.slow
def test_it_finds_what_the_detector_finds(written, tiny_config, detector, shared_dir):
    file = Detector(written[0], threads=1)
    cfg = Config.fromfile(tiny_config)
    described = describe(cfg, detector, cfg.classes, dynamic=False, half=False)
    assert file.metadata == json.loads(json.dumps(described))
    images = read_images(shared_dir)
    for image in images:  # landscape, portrait
        assert check_parity(file, detector, [image]) > 10
    alone = [file(image, score_thr=0) for image in images]
    assert all(found.labels.dtype == np.int64 and len(found.labels) > 10 for found in alone)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda place: file(images[place % 3], score_thr=0), range(60)))
    for place, found in enumerate(together):
        for ours, right in zip(found, alone[place % 3], strict=True):
            np.testing.assert_array_equal(ours, right)


@pytest.mark.slow
def test_inputs_outputs_and_metadata_have_names(written, tmp_path):
    path, _ = written
    reader = interpreter.Interpreter(str(path))
    assert reader.get_signature_list() == {
        'serving_default': dict(inputs=['images', 'sizes'], outputs=['boxes', 'labels', 'scores'])
    }
    runner = reader.get_signature_runner()
    shapes = {name: (*one['shape'], one['dtype']) for name, one in runner.get_input_details().items()}
    assert shapes == dict(images=(1, 3, 96, 160, np.float32), sizes=(1, 2, np.int32))
    with ZipFile(path) as archive:
        (entry,) = archive.infolist()
        assert entry.filename == 'sparse_rcnn.json'
        assert json.loads(archive.read(entry))['classes'] == list(Detector(path).classes)
        network = path.read_bytes()[: entry.header_offset]
    bare = tmp_path / 'bare.tflite'
    bare.write_bytes(network)
    with pytest.raises(ValueError, match=r'bare\.tflite has no metadata: give a file of tools/deploy/export\.py$'):
        Detector(bare)


@pytest.mark.slow
def test_the_table_of_runtimes_runs_it(written, tiny_config, checkpoint, run_here, shared_dir, tmp_path):
    onnx = written[0].with_suffix('.onnx')
    run_here('deploy/export.py', tiny_config, checkpoint, '--out', onnx)
    runtimes = {name: RUNTIMES[name] for name in (BASE, 'LiteRT')}
    _, row = measure(onnx, read_images(shared_dir), runtimes, tmp_path, threads=1, rounds=1)
    assert int(re.match(r'equal: (\d+), ', row.found)[1]) > 30
    assert row.ratio > 0 and row.ending == '.tflite'


def test_what_is_no_such_file_is_refused(tmp_path):
    (tmp_path / 'text.tflite').write_text('no network')
    with pytest.raises(ValueError, match=r'text\.tflite cannot be opened \(.+\): give a file of') as error:
        Detector(tmp_path / 'text.tflite')
    assert '\n' not in str(error.value)


def test_the_environment_that_is_missing_is_named(tiny_config, checkpoint, run_here, monkeypatch):
    monkeypatch.setitem(sys.modules, 'litert_torch', None)
    sentence = r'^error: .*\blitert_torch\b.*: make tflite, and then use \.venv/tflite/bin/python for this command$'
    with pytest.raises(SystemExit, match=sentence):
        run_here('deploy/export.py', tiny_config, checkpoint, '--format', 'tflite')
