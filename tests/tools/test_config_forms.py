"""Tools give the same numbers whichever way a config names its parts and wraps its data."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mmdet.models import FasterRCNN
from mmengine.config import Config

from sparse_rcnn_ext.engine.config.run_config import load_config, stop_early
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.export.latency_table import build
from tests.tools import tool_results as results
from tests.tools.config_forms import FORMS, write_forms
from tests.tools.known_detector import write_known_detector


@pytest.fixture(scope='module')
def detector(tmp_path_factory) -> tuple[Path, Path]:
    return write_known_detector(tmp_path_factory.mktemp('known'))


@pytest.fixture(scope='module')
def forms(detector, tmp_path_factory) -> dict[str, Path]:
    return write_forms(detector[0], tmp_path_factory.mktemp('written'))


@pytest.fixture(scope='module')
def exported(detector, tmp_path_factory, run_here) -> Path:
    out = tmp_path_factory.mktemp('exported') / 'tiny.torchscript'
    run_here('deploy/export.py', *detector, '--format', 'torchscript', '--out', out)
    return out


@pytest.fixture
def place(detector, exported, run_here, tmp_path, monkeypatch, capsys) -> SimpleNamespace:
    monkeypatch.chdir(tmp_path)
    writer = 'sparse_rcnn_ext.export.files.write_torchscript'
    monkeypatch.setattr(writer, lambda graph, facts, out: out.write_text(json.dumps(facts)))
    checkpoint, image = detector[1], detector[0].with_name('2.png')
    return SimpleNamespace(
        run=run_here, checkpoint=checkpoint, image=image, exported=exported, monkeypatch=monkeypatch, capsys=capsys
    )


NAMES = ('scoped', 'paths', 'no scope', 'pure')
DATA = ('joined', 'several')
USES = {
    results.keep: (*FORMS, 'mmdet'),
    results.views: ('pure', 'joined'),
    results.predict: (*NAMES, *DATA, 'mmdet'),
    results.export: (*NAMES, 'joined'),
    results.evaluate: FORMS,
    results.latency: NAMES,
    results.check: FORMS,
    results.flops: (*NAMES, 'joined'),
    results.stages: ('pure',),
    results.errors: ('pure', *DATA),
    results.browse: ('paths', 'pure'),
    results.dial: ('pure', 'joined'),
    results.train: ('paths', 'no scope', 'pure', 'several'),
    results.report: (*NAMES, *DATA),
    results.ablation: ('scoped', 'pure'),
    results.speed: ('paths', 'pure'),
}


@pytest.fixture(scope='module')
def plain_results() -> dict[Callable, Any]:
    return {}


@pytest.mark.parametrize(('use', 'form'), [(use, form) for use, its in USES.items() for form in its])
def test_same_numbers(place, forms, plain_results, use, form, monkeypatch):
    if form not in forms:
        pytest.skip('mmdet was installed without its configs')
    if use not in plain_results:
        Path('plain').mkdir()
        monkeypatch.chdir('plain')
        plain_results[use] = use(place, forms['plain'])
        monkeypatch.chdir('..')
    expected = plain_results[use]
    assert expected
    expected = results.twice(expected) if form == 'several' else expected
    assert results.rounded(use(place, forms[form])) == results.rounded(expected)


def test_refused_in_one_sentence(forms, place):
    """Before a model is built: what is read of a file cannot be told apart, and what no Sparse R-CNN is."""
    Path('found.json').write_text('[]')
    with pytest.raises(SystemExit) as stop:
        place.run('analysis/analyze_errors.py', forms['several'], '--detections', 'found.json')
    assert str(stop.value) == (
        'error: found.json numbers images as COCO does, and the data set is a ConcatDataset: give a checkpoint'
    )
    with pytest.raises(SystemExit) as stop:
        place.run('test.py', forms['pure'], place.checkpoint, '--out', 'x.json', '--cfg-options', 'test_evaluator=[]')
    assert str(stop.value) == 'error: --out needs a test_evaluator of type CocoMetric, whose result file it keeps'
    cfg = Config.fromfile(forms['several'])
    cfg.val_evaluator = cfg.test_evaluator = cfg.test_evaluator.metrics[0]
    cfg.dump('same.py')
    for tool in (('test.py', 'same.py', place.checkpoint), ('deploy/evaluate.py', 'same.py', place.exported)):
        with pytest.raises(SystemExit) as stop:
            place.run(*tool)
        assert str(stop.value).startswith('error: test_dataloader.dataset joins data sets that both have an image 1, ')
    cfg = load_config(str(forms['pure']), None, None)
    cfg.model.type = FasterRCNN
    name = 'mmdet.models.detectors.faster_rcnn.FasterRCNN'
    with pytest.raises(UserError, match=f'is a {name}: export takes models of type'):
        build(cfg, None)
    with pytest.raises(UserError, match=f'needs a sparse_rcnn_ext.SparseRCNN, and the model is a {name}$'):
        stop_early(cfg, 1)
