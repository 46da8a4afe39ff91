"""Progress of long runs on standard error: one line, and one form of the time that is left."""

import math
import sys

COMPILING = "compiling, once"
"""Words for the part of a run that makes its program."""

WIDTH = 79


def clock(seconds: float) -> str:
    """A time as minutes and seconds, `2:05`, with hours in front if there are any."""
    if not math.isfinite(seconds):
        return "unknown time"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def left(done: int, total: int, seconds: float) -> str:
    """Time left in words, of the time that the steps so far took: `2:05 left`."""
    return f"{clock(seconds / done * (total - done) if done else math.inf)} left"


def tell(line: str, last: bool = False) -> None:
    """Write a line to standard error, which on a terminal replaces the line before it."""
    terminal = sys.stderr.isatty()
    end = "\r" if terminal and not last else "\n"
    text = f"{line[:WIDTH]:<{WIDTH}}" if terminal else line
    print(text, end=end, file=sys.stderr, flush=True)
