"""Peaks of steps that touch so many MiB as the arguments say, as JSON; see test_memory.py."""

import json
import sys
from types import SimpleNamespace

import torch
from torch import nn

from sparse_rcnn_ext.analysis.benchmark.processes import peak_of_step

MIB = 1 << 20


class Step:
    """Touches as much memory as it is told to, and frees all of it."""

    def __init__(self, mib: int) -> None:
        self.mib = mib
        self.runs = 0
        self.contestant = SimpleNamespace(device='cpu')
        self.model = nn.Linear(MIB // 4, 3, bias=False)  # 3 MiB
        self.optimizer = SimpleNamespace(state={self.model.weight: dict(mean=torch.ones(MIB // 4), step=5)})  # 1 MiB
        self.images = torch.ones(2 * MIB // 4)  # 2 MiB

    def run(self) -> None:
        self.runs += 1
        half = torch.ones(self.mib * MIB // 8)
        del half
        torch.ones(self.mib * MIB // 4)


def measure_peaks(mib: int) -> tuple[dict[str, int], int]:
    step = Step(mib)
    return peak_of_step(step), step.runs


if __name__ == '__main__':
    print(json.dumps([measure_peaks(int(mib)) for mib in sys.argv[1:]]))
