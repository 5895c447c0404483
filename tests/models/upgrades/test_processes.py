"""Two processes: every parameter has its gradient on both, although one of them may have no box. A script, too."""

import os
import subprocess
import sys
from pathlib import Path

import torch
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import init_default_scope
from torch import distributed

if __name__ == '__main__':
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import sparse_rcnn_ext  # noqa: F401  a process of its own has no conftest.py
from tests.configs.test_upgrades import SIZES, TOGETHER, build
from tests.fork_server import LIMIT
from tests.models.small_model import make_images, make_sample

# Of two images in each of two processes.
COUNTS = [((3, 2), (0, 0)), ((0, 0), (0, 0)), ((1, 0), (4, 1))]


def learn(meeting_place: str, rank: str) -> None:
    """As one of two processes: a step for each batch, with all upgrades at once."""
    distributed.init_process_group('gloo', init_method=f'file://{meeting_place}', rank=int(rank), world_size=2)
    init_default_scope('mmdet')
    model = build(*TOGETHER).float().train()
    runnable = MMDistributedDataParallel(model)
    for counts in COUNTS:
        samples = [make_sample(size, count, seed) for seed, (size, count) in enumerate(zip(SIZES, counts[int(rank)]))]
        losses = runnable(make_images(SIZES, torch.float32), samples, mode='loss')
        runnable.zero_grad()
        sum(value for name, value in losses.items() if 'loss' in name).backward()
        own = torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.requires_grad])
        both = [torch.zeros_like(own) for _ in range(2)]
        distributed.all_gather(both, own)
        assert own.isfinite().all() and own.any() and torch.equal(*both)
    distributed.destroy_process_group()
    print('learned', flush=True)
    # When it is destroyed, torch's reducer waits, with Python's lock, for a thread that may wait for that lock.
    os._exit(0)


def test_all_at_once(tmp_path: Path, python, tool_environment):
    commands = [[python, __file__, str(tmp_path / 'meeting'), rank] for rank in '01']
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    processes = [subprocess.Popen(command, env=tool_environment, **pipes) for command in commands]
    printed = [process.communicate(timeout=LIMIT)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], printed
    assert all(text.endswith('learned\n') for text in printed)


if __name__ == '__main__':
    learn(*sys.argv[1:])
