"""How long exported files and detectors take, measured in turns."""

import time
from collections.abc import Callable, Mapping

# Threads of a runtime go on spinning for a moment after its run, which would be the next one's loss.
REST = 0.05
# TorchScript compiles in its first two runs.
WARM_UPS = 3


def time_in_turns(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, ...]]:
    """Seconds of each run in each round, by name; what slows the machine down for a while slows all.

    Args:
        runs: What to time.
        rounds: How often, beside a few rounds that do not count.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(-WARM_UPS, rounds):
        for name, run in runs.items():
            time.sleep(REST)
            started = time.perf_counter()
            run()
            if turn >= 0:
                seconds[name].append(time.perf_counter() - started)
    return {name: tuple(found) for name, found in seconds.items()}
