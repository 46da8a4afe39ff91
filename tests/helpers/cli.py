"""Commands run inside the process of a test."""

import pytest

from projhead_theory.cli import main

PROBLEM = ("--strength", "2,1,0.5", "--noise", "1,0.2,0.3")


def run(capsys, *arguments):
    """Exit status, standard output and standard error of a command."""
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    out, err = capsys.readouterr()
    return stop.value.code, out, err
