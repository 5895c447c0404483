"""A bar over many trainings, that moves while one is under way."""

import re
import sys

from tqdm import tqdm

EPOCHS = re.compile(r'Epoch\(train\)\s+\[(\d+)\]\[\s*(\d+)/(\d+)\]')
ITERATIONS = re.compile(r'Iter\(train\)\s+\[\s*(\d+)/(\d+)\]')
BAR = '{desc} |{bar:24}| {n:.1f} of {total} runs, {elapsed} so far, {remaining} left'


class RunProgress:
    """Runs that are done, and an estimate of the time for those to come.

    Args:
        total: How many runs there are.
        epochs: How many epochs each takes; None for runs that count iterations.
    """

    def __init__(self, total: int, epochs: int | None) -> None:
        self.epochs = epochs
        self.done = 0
        # A terminal shows the bar as it moves; a file gets a line now and then.
        interval = 0.5 if sys.stderr.isatty() else 60.0
        self.bar = tqdm(total=total, bar_format=BAR, smoothing=0, mininterval=interval, maxinterval=interval)

    def restart(self) -> None:
        """Count the time from now on."""
        self.bar.reset()

    def start(self, name: str) -> None:
        """Say which run is next."""
        self.bar.set_description_str(name)

    def see(self, line: str) -> None:
        """Move on as a line of a training's log says."""
        if (match := EPOCHS.search(line)) and self.epochs:
            epoch, step, steps = map(int, match.groups())
            self._move((epoch - 1 + step / steps) / self.epochs)
        elif match := ITERATIONS.search(line):
            self._move(int(match[1]) / int(match[2]))

    def finish(self) -> None:
        """The run is over, well or not."""
        self._move(1.0)
        self.done += 1

    def skip(self) -> None:
        """The run was done before, and says nothing of how long the others take."""
        self.done += 1
        self.bar.initial += 1
        self.bar.n += 1

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self.bar.write(text, file=sys.stdout)
        sys.stdout.flush()

    def close(self) -> None:
        self.bar.close()

    def _move(self, share: float) -> None:
        # A resumed run starts in the middle; no run goes backwards.
        self.bar.update(max(0.0, self.done + min(share, 1.0) - self.bar.n))
