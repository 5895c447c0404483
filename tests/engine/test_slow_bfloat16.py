"""A CPU that is slow in bfloat16 is told of once, where somebody asks for that."""

import pytest
import torch

from sparse_rcnn_ext.engine import slow_bfloat16
from sparse_rcnn_ext.engine.amp_optim_wrapper import AmpOptimWrapper
from sparse_rcnn_ext.engine.fast_inference import fast_forward_stages
from tests.models.small_model import build_model

SAID = 'This CPU has no AVX-512 and computes bfloat16 in software'


@pytest.fixture
def said(monkeypatch):
    """``said(capability)`` is that CPU from now on; the warnings are in the list that it returns."""
    lines = []
    monkeypatch.setattr(slow_bfloat16, 'print_log', lambda text, logger, level: lines.append(text))

    def be(capability: str) -> list[str]:
        monkeypatch.setattr(torch.backends.cpu, 'get_cpu_capability', lambda: capability)
        return lines

    return be


@pytest.mark.skipif(torch.cuda.is_available(), reason='about machines without CUDA')
@pytest.mark.parametrize(('capability', 'number'), [('AVX2', 1), ('AVX512', 0), ('SVE256', 0)])
def test_training(said, capability, number):
    lines = said(capability)
    AmpOptimWrapper(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0), dtype='bfloat16')
    assert len(lines) == number and all(line.startswith(SAID) for line in lines)


@pytest.mark.parametrize(('dtype', 'number'), [('bfloat16', 1), (None, 0)])
def test_inference(said, dtype, number):
    lines = said('AVX2')
    fast_forward_stages(build_model(), dtype=dtype)
    assert len(lines) == number
