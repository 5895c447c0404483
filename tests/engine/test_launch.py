"""The launchers' environment; tests/tools/test_distributed.py starts real jobs."""

import pytest
from mmengine.config import Config

from sparse_rcnn_ext.engine.errors import UserError
from sparse_rcnn_ext.engine.launch import join_job


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK'):
        monkeypatch.delenv(name, raising=False)


def test_one_process():
    cfg = Config({'env_cfg': {'dist_cfg': {'backend': 'nccl'}}})
    join_job(cfg, 'none')
    assert cfg.launcher == 'none' and 'model_wrapper_cfg' not in cfg


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
