#!/usr/bin/env bash
# A whole number divided by a whole number is none for Core ML's converter, and so no index.
#
#   Found with  coremltools 9.0, torch 2.11.0, numpy 2.2.6 (PyPI)
#   Expected    torch's floor_divide of two int64 is int64, in eager mode and in TorchScript, which coremltools reads;
#               what is gathered by such a quotient converts as what is gathered by its operand does.
#   Behaviour   The converter casts the quotient to float32, on a comment that torch's floor_divide always does so, which
#               the torch that it reads does not. The next gather refuses it with a ValueError about its indices. A
#               `.long()`, which does nothing in torch, is kept in TorchScript and makes it convert. The sum of truth
#               values has the same fault.
#   Source      coremltools/converters/mil/frontend/torch/ops.py, floor_divide
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet coremltools==9.0 torch==2.11.0 numpy==2.2.6

"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import coremltools
import numpy as np
import torch

EXAMPLE = torch.arange(8.0)[None], torch.tensor([[1, 6, 3]])


class Plain(torch.nn.Module):
    def forward(self, values, places):
        return values.gather(1, places // 2)


class Cast(torch.nn.Module):
    def forward(self, values, places):
        return values.gather(1, (places // 2).long())


class Sum(torch.nn.Module):
    def forward(self, values, places):
        return values.gather(1, (places[..., None] >= torch.tensor([2, 5])).sum(-1))


def convert(network):
    quotient = EXAMPLE[1] // 2
    assert quotient.dtype == torch.int64
    inputs = [
        coremltools.TensorType(name='values', shape=(1, 8)),
        coremltools.TensorType(name='places', shape=(1, 3), dtype=np.int32),
    ]
    traced = torch.jit.trace(network.eval(), EXAMPLE)
    try:
        coremltools.convert(
            traced, inputs=inputs, convert_to='mlprogram', compute_precision=coremltools.precision.FLOAT32
        )
    except ValueError as error:
        return f'ValueError: {"indices" in str(error) and "fp32" in str(error)}'
    return 'converted'


found = {network.__name__: convert(network()) for network in (Plain, Cast, Sum)}
print(found)
assert found == {'Plain': 'ValueError: True', 'Cast': 'converted', 'Sum': 'ValueError: True'}
PYTHON

# Output seen, 2026-12-02:
#   {'Plain': 'ValueError: True', 'Cast': 'converted', 'Sum': 'ValueError: True'}
