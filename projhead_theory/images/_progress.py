"""Progress of long runs on standard error."""

import sys
import time

from .._core.progress import left, tell


class Progress:
    """A line on standard error with the share that is done and the time that is left.

    **Arguments:**

    - `total`: the number of steps to be told of.
    - `shown`: whether anything is written.
    """

    def __init__(self, total: int, shown: bool = True):
        self.total, self.shown = total, shown
        self.done, self.skipped, self.started, self.written = 0, 0, time.monotonic(), 0.0

    def step(self, text: str = "", *, skipped: int = 0) -> None:
        """Tell of one more step, or of so many that an earlier run has taken."""
        self.done += skipped or 1
        self.skipped += skipped
        now = time.monotonic()
        last = self.done >= self.total
        wait = 0.2 if sys.stderr.isatty() else 10.0
        if not self.shown or (now - self.written < wait and not last):
            return
        self.written = now
        own = self.done - self.skipped
        rest = left(own, own + self.total - self.done, now - self.started)
        tell(f"{self.done / self.total:4.0%}, {rest}; {text}", last=last)
