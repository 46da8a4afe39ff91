"""Progress in one form: a line on standard error, and the time that is left."""

import io
import sys

import pytest

from projhead_theory._core.progress import WIDTH, clock, left, tell


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0.4, "0:00"), (9.6, "0:10"), (125, "2:05"), (3599.6, "1:00:00"), (36610, "10:10:10")),
        (float("inf"), "unknown time"),
    ],
)
def test_a_time_is_minutes_and_seconds(seconds, text):
    assert clock(seconds) == text


def test_the_time_left_follows_the_steps_so_far():
    assert left(1, 4, 20) == "1:00 left"
    assert left(4, 4, 20) == "0:00 left"
    assert left(0, 4, 20) == "unknown time left"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_line_replaces_the_one_before_on_a_terminal_alone(monkeypatch):
    for file, text in ((Terminal(), "a\rb\n"), (io.StringIO(), "a\nb\n")):
        monkeypatch.setattr(sys, "stderr", file)
        tell("a")
        tell("b", last=True)
        assert file.getvalue().replace(" ", "") == text
    file = Terminal()
    monkeypatch.setattr(sys, "stderr", file)
    tell("x" * 200)
    assert len(file.getvalue()) == WIDTH + 1
