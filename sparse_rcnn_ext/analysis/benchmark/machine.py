"""Where and with what a measurement was made."""

import os
import platform
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

import mmcv
import mmdet
import mmengine
import torch
import torchvision

from sparse_rcnn_ext.import_hooks import PORTABLE_OPS
from sparse_rcnn_ext.portable_ops import PortableOpsLoader


def machine_facts(device: str) -> dict[str, str]:
    """What a reader needs to judge or repeat a measurement, by name.

    Args:
        device: ``'cpu'`` or ``'cuda'``.
    """
    facts = dict(date=datetime.now().strftime('%Y-%m-%d %H:%M'))
    if device == 'cuda':
        facts['GPU'] = f'{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}'
    threads = torch.get_num_threads()
    facts['CPU'] = f'{_cpu()}, {os.cpu_count()} cores, {threads} thread{"s" if threads > 1 else ""}'
    if hasattr(os, 'getloadavg'):
        facts['load'] = f'{os.getloadavg()[0]:.1f} in the minute before'
    is_portable = isinstance(find_spec(PORTABLE_OPS).loader, PortableOpsLoader)
    modules = (torch, torchvision, mmdet, mmengine, mmcv)
    facts['versions'] = ', '.join(
        [f'Python {platform.python_version()}', *(f'{module.__name__} {module.__version__}' for module in modules)]
    )
    facts["mmcv's operators"] = "torchvision's" if is_portable else 'compiled'
    return facts


def _cpu() -> str:
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.machine()
