"""Our model computes what mmdet's own SparseRCNN computes, at full size, from the same state dict."""

from pathlib import Path

import pytest
import torch

from tests.parity.full_size import CASES, MMDET_CONFIG


@pytest.fixture(scope='module')
def found(made_once, run_process) -> dict:
    """What full_size.py finds."""
    if not MMDET_CONFIG.is_file():
        pytest.skip(f'this mmdet comes without its configs: no {MMDET_CONFIG}')

    def fill(folder: Path) -> None:
        code, printed = run_process(str(Path(__file__).with_name('full_size.py')), [str(folder)], folder)
        assert code == 0, printed

    return torch.load(made_once('mmdet-parity', fill) / 'found.pth')


def test_state_dicts_have_the_same_names_and_shapes(found):
    theirs, ours = found['shapes']
    assert len(theirs) > 400 and theirs == ours


@pytest.mark.parametrize('case', CASES)
def test_losses_and_gradients(found, case):
    trained = found['trained'][case]
    theirs, ours = trained['losses']
    assert set(theirs) == set(ours)
    for name, value in theirs.items():
        # mmdet adds 1.2e-7 to the number of boxes that it divides by.
        assert ours[name] == pytest.approx(value, rel=1e-6), name
    deviations = trained['deviations']
    assert len(trained['expected']) > 300 and set(deviations) == trained['expected']
    assert {name: deviation for name, deviation in deviations.items() if not deviation <= 1} == {}


def test_predictions(found):
    for (theirs, their_boxes, their_labels), (ours, boxes, labels) in zip(*found['predictions'], strict=True):
        order = theirs.argsort(descending=True)  # mmdet leaves its detections unsorted
        assert len(theirs) > 10
        torch.testing.assert_close(ours, theirs[order], rtol=1e-9, atol=0)
        torch.testing.assert_close(boxes, their_boxes[order], rtol=1e-7, atol=1e-7)
        assert labels.tolist() == their_labels[order].tolist()
