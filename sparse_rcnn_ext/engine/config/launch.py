"""Join the processes of a job, with or without CUDA."""

import logging
import os
import subprocess

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from torch.distributed import PrefixStore, TCPStore

from sparse_rcnn_ext.engine.checkpoints.resuming import restarts
from sparse_rcnn_ext.errors import UserError

_NAMES = ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR')
_SOURCES = {
    'pytorch': _NAMES,
    'slurm': ('SLURM_PROCID', 'SLURM_LOCALID', 'SLURM_NTASKS'),
    'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_LOCAL_RANK', 'OMPI_COMM_WORLD_SIZE', 'MASTER_ADDR'),
}
_ADVICE = {
    'pytorch': 'start through tools/dist_train.sh, tools/dist_test.sh or torchrun',
    'slurm': 'start through tools/slurm_train.sh, tools/slurm_test.sh or srun',
    'mpi': 'start through mpirun, with MASTER_ADDR set to the address of the machine of rank 0',
}


def join_job(cfg: Config, launcher: str, local_rank: int | None = None) -> None:
    """Prepare ``cfg`` and the environment for ``launcher``; without CUDA, open the process group over gloo.

    With CUDA mmengine's Runner opens the group itself. Without, its set-up stops at ``torch.cuda.set_device``, and it
    passes GPU numbers to DistributedDataParallel; both are settled here.

    Args:
        cfg: The config of the run; ``launcher``, and without CUDA ``env_cfg.dist_cfg.backend`` and
            ``model_wrapper_cfg``, are set in place; then ``sync_bn``, which torch has for GPUs only, is unset.
        launcher: One of ``arguments.LAUNCHERS``.
        local_rank: What LOCAL_RANK is where the environment has none.

    Raises:
        UserError: If an environment variable of the launcher is missing.
    """
    cfg.launcher = launcher
    if local_rank is not None:
        os.environ.setdefault('LOCAL_RANK', str(local_rank))
    if launcher == 'none':
        return
    for name, source in zip(_NAMES, _SOURCES[launcher]):
        if source not in os.environ:
            raise UserError(f'--launcher {launcher} finds no {source} in the environment: {_ADVICE[launcher]}')
        os.environ[name] = os.environ[source]
    if launcher == 'slurm':
        # Two jobs that share a machine must not share a port.
        os.environ.setdefault('MASTER_PORT', str(20000 + int(os.environ.get('SLURM_JOB_ID', 0)) % 10000))
    if not torch.cuda.is_available():
        _join_without_cuda(cfg)
    elif restarts():
        torch.cuda.set_device(int(os.environ['LOCAL_RANK']))
        torch.distributed.init_process_group(cfg.env_cfg.dist_cfg.backend, **_store_of_restart())


def _store_of_restart() -> dict[str, object]:
    """Where processes that torchrun started again meet.

    torchrun keeps one store for all restarts, with the addresses of processes that are gone; whoever reads one of those
    before it is written anew, fails to connect or waits for ever.
    """
    if not restarts() or os.environ.get('TORCHELASTIC_USE_AGENT_STORE') != 'True':
        return {}
    rank, size = int(os.environ['RANK']), int(os.environ['WORLD_SIZE'])
    store = TCPStore(os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT']), size, is_master=False)
    return dict(store=PrefixStore(f'restart_{restarts()}', store), rank=rank, world_size=size)


def _join_without_cuda(cfg: Config) -> None:
    os.environ.setdefault('MASTER_PORT', '29500')
    if 'MASTER_ADDR' not in os.environ:
        command = ['scontrol', 'show', 'hostnames', os.environ['SLURM_JOB_NODELIST']]
        os.environ['MASTER_ADDR'] = subprocess.check_output(command, text=True).split()[0]
    torch.distributed.init_process_group('gloo', **_store_of_restart())
    cfg.merge_from_dict({'env_cfg.dist_cfg.backend': 'gloo'})
    wrapper = cfg.get('model_wrapper_cfg') or {
        'type': 'MMDistributedDataParallel',
        'broadcast_buffers': False,
        'find_unused_parameters': cfg.get('find_unused_parameters', False),
    }
    cfg.model_wrapper_cfg = dict(wrapper, device_ids=None)
    if cfg.get('sync_bn'):
        cfg.sync_bn = None
        print_log(
            'sync_bn needs CUDA, which this machine lacks: BatchNorm averages over the images of one process alone.',
            logger='current',
            level=logging.WARNING,
        )
