"""What is printed, held against what a page says is printed."""

import re

import pytest

NUMBER = r"[-+]?\d+\.?\d*(?:e[-+]?\d+)?"


def assert_prints(seen: str, printed: str) -> None:
    """The same words, and numbers that agree to 2 per cent or are both rounding."""
    words = lambda text: re.sub(NUMBER, "#", text).split()
    assert words(seen) == words(printed)
    numbers = lambda text: [float(x) for x in re.findall(NUMBER, text)]
    assert numbers(seen) == pytest.approx(numbers(printed), rel=0.02, abs=1e-9)
