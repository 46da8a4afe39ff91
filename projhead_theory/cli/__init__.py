"""The command line `projhead`. Nothing heavy is imported until a command runs."""

import sys
from typing import Annotated, Any

import typer

from . import _claims
from ._cache import with_folder
from ._convergence import convergence
from ._experiment import experiment
from ._explore import explore
from ._figures import figures
from ._images import images
from ._info import info
from ._inspect import inspect
from ._phase import phase
from ._predict import predict
from ._simulate import simulate
from ._sweep import sweep
from ._verify import verify

app = typer.Typer(
    name="projhead",
    help="Closed-form theories of representation learning, held against trained networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(predict)
app.command()(phase)
app.command()(explore)
app.command()(inspect)
app.command()(simulate)
app.command()(convergence)
app.command()(sweep)
app.command()(images)
app.command()(experiment)
app.command()(verify)
app.command()(figures)
app.add_typer(_claims.app, name="claims")
app.command()(info)


def _version(value: bool) -> bool:
    if value:
        from .. import __version__

        print(__version__)
        raise typer.Exit()
    return value


Version = Annotated[
    bool,
    typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit."),
]


@app.callback()
def _options(version: Version = False) -> None:
    """Closed-form theories of representation learning, held against trained networks."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.

    Exit status: 0 all hold; 1 a claim is violated or a control uncaught; 2 bad usage, bad input,
    or a run that diverged; 130 interrupted.
    """
    try:
        given = sys.argv[1:] if arguments is None else arguments
        code = app(args=with_folder(given), standalone_mode=False)
    except ValueError as error:
        code = _complain(str(error))
    except KeyboardInterrupt:
        print("projhead: interrupted", file=sys.stderr)
        code = 130
    except Exception as error:
        # Usage errors of the parser format their own message; anything else is a bug, raised with
        # its traceback.
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.format_message())  # type: ignore[attr-defined]
            code = 2
        elif type(error).__name__ == "Abort":
            print("projhead: interrupted", file=sys.stderr)
            code = 130
        elif hasattr(error, "format_message"):
            code = _complain(_misread(error, given))
        else:
            raise
    sys.exit(code or 0)


NOUNS = {"integer": "a whole number", "number": "a number", "float": "a number"}


def _misread(error: Any, given: list[str]) -> str:
    """Message for an option that is no number, or nothing for another error.

    The parser's own message does not name the value.
    """
    said = error.format_message()
    wanted = next((noun for word, noun in NOUNS.items() if f"valid {word}" in said), None)
    for option in getattr(getattr(error, "param", None), "opts", ()):
        for item, following in zip(given, [*given[1:], ""], strict=True):
            name, equals, value = item.partition("=")
            if name == option and wanted:
                return f"{option}: got {value if equals else following!r}; want {wanted}"
    return said


def _complain(message: str) -> int:
    print("projhead: " + " ".join(message.split()), file=sys.stderr)
    return 2
