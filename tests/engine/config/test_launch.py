"""The launchers' environment; tests/tools/test_distributed.py starts real jobs."""

import os

import pytest
import torch
from mmengine.config import Config

from sparse_rcnn_ext.engine.config.launch import join_job
from sparse_rcnn_ext.errors import UserError


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK'):
        monkeypatch.delenv(name, raising=False)


def test_one_process():
    cfg = Config({'env_cfg': {'dist_cfg': {'backend': 'nccl'}}})
    join_job(cfg, 'none')
    assert cfg.launcher == 'none' and 'model_wrapper_cfg' not in cfg


@pytest.mark.parametrize(('given', 'there', 'rank'), [(None, None, None), (1, None, '1'), (1, '2', '2')])
def test_local_rank_of_the_command_line(monkeypatch, given, there, rank):
    monkeypatch.setenv('LOCAL_RANK', there or '')  # so that it is as before after the test
    if there is None:
        monkeypatch.delenv('LOCAL_RANK')
    join_job(Config({}), 'none', given)
    assert os.environ.get('LOCAL_RANK') == rank


@pytest.mark.parametrize(
    ('launcher', 'variable', 'advice'),
    [
        ('pytorch', 'RANK', 'dist_train.sh'),
        ('slurm', 'SLURM_PROCID', 'slurm_train.sh'),
        ('mpi', 'OMPI_COMM_WORLD_RANK', 'mpirun'),
    ],
)
def test_started_by_hand(launcher, variable, advice):
    with pytest.raises(UserError, match=f'--launcher {launcher} finds no {variable} .*{advice}'):
        join_job(Config({}), launcher)


def test_sync_bn_falls_back_where_there_is_no_cuda(monkeypatch):
    """torch's SyncBatchNorm trains on GPUs only."""
    # Port 0: whichever is free, as nobody else must know it.
    environment = {'RANK': '0', 'LOCAL_RANK': '0', 'WORLD_SIZE': '1', 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': '0'}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    cfg = Config({'sync_bn': 'torch', 'env_cfg': {'dist_cfg': {'backend': 'nccl'}}})
    said = []
    monkeypatch.setattr('sparse_rcnn_ext.engine.config.launch.print_log', lambda text, **_: said.append(text))
    try:
        join_job(cfg, 'pytorch')
    finally:
        torch.distributed.destroy_process_group()
    assert cfg.sync_bn is None
    assert [text.split(':')[0] for text in said] == ['sync_bn needs CUDA, which this machine lacks']
