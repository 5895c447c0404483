"""ResNet-50, 100 proposals, 6 stages: the exported file finds what the detector finds."""

import json
from pathlib import Path

import pytest

from sparse_rcnn_ext.export import FORMATS
from tests.export.full_model import BATCHES

pytestmark = pytest.mark.slow


KINDS = ('onnx', 'openvino', 'torchscript')


@pytest.fixture(scope='module')
def rows(run_process, shared_dir, made_once) -> dict[str, list[dict]]:
    """What full_model.py prints."""
    for kind in KINDS:
        for name in FORMATS[kind].packages + FORMATS[kind].runtimes:
            pytest.importorskip(name, reason='pip install -r requirements/deploy.txt')

    def fill(folder: Path) -> None:
        script = str(Path(__file__).with_name('full_model.py'))
        code, printed = run_process(script, [str(folder), str(shared_dir), *KINDS], folder)
        assert code == 0, printed
        (folder / 'rows.json').write_text(printed.splitlines()[-1])

    return json.loads((made_once('full-model', fill) / 'rows.json').read_text())


@pytest.mark.parametrize('kind', KINDS)
def test_two_sizes_and_a_batch(rows, kind):
    rows = rows[kind]
    assert [(tuple(row['scale']), len(row['within'])) for row in rows] == list(BATCHES)
    for row in rows:
        # Over the threshold, of many labels, and other ones for another image: equal by nothing but the weights.
        assert row['least_score'] > 0.05 and row['labels'] > 5 and not any(row['others_within'])
        assert all(row['within']), row['differences']
        # Both sides of the 100 are looked for, but for a last place that rounding may give to another.
        assert min(row['compared']) >= 190
