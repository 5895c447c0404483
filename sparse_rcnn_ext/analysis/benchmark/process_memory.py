"""How much memory this process has, by Linux."""

from pathlib import Path

from sparse_rcnn_ext.engine.errors import UserError

STATUS, RESET = Path('/proc/self/status'), Path('/proc/self/clear_refs')


def check_proc() -> None:
    """Raise UserError where the kernel does not tell."""
    if not RESET.exists():
        raise UserError('peak memory on the CPU is read from /proc, which this system lacks: measure it on Linux')


def reset_peak() -> None:
    """Let the high-water mark fall to what is there now, see proc(5)."""
    RESET.write_text('5')


def resident(key: str) -> int:
    """Bytes in memory: ``'VmRSS'`` now, ``'VmHWM'`` at most since the mark was set back."""
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith(f'{key}:'))
    return int(line.split()[1]) * 1024
