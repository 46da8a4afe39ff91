"""A progress bar on standard error: the present step, the share done, and the time left."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from .._core.progress import clock

if TYPE_CHECKING:
    from rich.console import Console


@contextlib.contextmanager
def bar(
    total: int, step: str, noun: str
) -> Iterator[tuple[Callable[[int], None], Callable[[str], None], Console]]:
    """A bar over this many steps, each one of the noun, that begins with the name of a step.

    Yields functions that set how much is done, and the step; and the console for what is to be
    printed meanwhile: above the bar if both are on a terminal, else on standard output.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, Task, TextColumn
    from rich.text import Text

    class Left(TextColumn):
        """Time left, in the form of all progress."""

        def render(self, task: Task) -> Text:
            seconds = task.time_remaining
            return Text("" if seconds is None or task.finished else f"{clock(seconds)} left")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(20),
        TextColumn(f"{{task.completed:.0f}} of {{task.total:.0f}} {noun}"),
        Left(""),
    )
    output, errors = Console(), Console(stderr=True)
    with Progress(*columns, console=errors, transient=True, redirect_stdout=False) as progress:
        task = progress.add_task(step, total=total)
        yield (
            lambda done: progress.update(task, completed=done),
            lambda step: progress.update(task, description=step),
            errors if output.is_terminal and errors.is_terminal else output,
        )
