"""CPUs that compute bfloat16 in software."""

import logging

import torch
from mmengine.logging import print_log


def warn_of_slow_bfloat16() -> None:
    """Say so where this CPU has no instructions for bfloat16: there it costs many times what float32 does."""
    # oneDNN needs AVX-512 for it, and else takes a reference implementation.
    if torch.backends.cpu.get_cpu_capability() == 'AVX2':
        print_log(
            'This CPU has no AVX-512 and computes bfloat16 in software: float32, without --amp, is many times as fast.',
            logger='current',
            level=logging.WARNING,
        )
