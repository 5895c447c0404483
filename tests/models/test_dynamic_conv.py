"""Dynamic convolution equals a loop over proposals, positions and channels."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_rcnn_ext.models.dynamic_conv import DynamicConv
from tests.reference.dynamic_conv import dynamic_conv


def make_module(channels: int, hidden: int, side: int, seed: int) -> DynamicConv:
    """A module in float64 whose norms have weights that are not all alike."""
    torch.manual_seed(seed)
    module = DynamicConv(channels, hidden, side).double()
    for norm in (module.norm_in, module.norm_out, module.fc_norm):
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.uniform_(norm.bias, 0.5, 1.5)  # above zero, so that the ReLUs let most values through
    return module


@settings(max_examples=15)
@given(
    num_proposals=st.integers(1, 4),
    channels=st.integers(2, 6),
    hidden=st.integers(2, 4),
    side=st.integers(1, 3),
    seed=st.integers(0, 2**31),
)
def test_equals_the_loop(num_proposals, channels, hidden, side, seed):
    module = make_module(channels, hidden, side, seed)
    proposal_feats = torch.randn(num_proposals, channels, dtype=torch.float64)
    roi_feats = torch.randn(num_proposals, side**2, channels, dtype=torch.float64)
    found = module(proposal_feats, roi_feats)
    expected = [dynamic_conv(module, *feats) for feats in zip(proposal_feats.tolist(), roi_feats.tolist(), strict=True)]
    assert found.shape == (num_proposals, channels)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-10)


def test_a_proposal_reads_its_own_roi_alone():
    module = make_module(4, 3, 2, 0)
    proposal_feats = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    roi_feats = torch.randn(3, 4, 4, dtype=torch.float64, requires_grad=True)
    module(proposal_feats, roi_feats)[1].sum().backward()
    for feats in (proposal_feats, roi_feats):
        assert feats.grad[[0, 2]].eq(0).all()
        assert feats.grad[1].abs().sum() > 0


def test_inputs_are_left_alone():
    module = make_module(4, 3, 2, 0)  # its activations work in place
    inputs = torch.randn(3, 4, dtype=torch.float64), torch.randn(3, 4, 4, dtype=torch.float64)
    copies = [value.clone() for value in inputs]
    module(*inputs)
    assert all(torch.equal(value, copy) for value, copy in zip(inputs, copies, strict=True))


def test_wrong_grid_size_fails():
    with pytest.raises(RuntimeError):
        make_module(4, 3, 2, 0)(torch.randn(3, 4).double(), torch.randn(3, 9, 4).double())
