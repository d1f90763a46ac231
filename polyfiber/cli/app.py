"""The command line: parse, call one library function, render. Exit codes: see `exits`."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import sys
from typing import Any

import typer
import typer.core
import typer.models

from .. import _version
from ..budget import on_compiling
from .exits import mend_streams, no_last_escape, noting_interrupts, outcome

TOPICS = ("complexes", "topology", "fibers", "equivalence", "strata", "regions", "datasets", "verify", "prove")

_PLAIN = (
    (r"^Value error, ", ""),
    (r"^Input should be a valid integer\b.*", "expected a whole number"),
    (r"^Input should be a valid number\b.*", "expected a number"),
    (r"^Input should be greater than or equal to (\S+)$", r"expected a number >= \1"),
    (r"^Input should be ", "expected "),
)
"""What the parser of types says, in our words."""


class _Commands(typer.core.TyperGroup):
    """The commands; what is wrong with an option is said in plain words."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            for said, plain in _PLAIN:
                error.message = re.sub(said, plain, error.message)
            raise


app = typer.Typer(
    name="polyfiber",
    cls=_Commands,
    help=(
        "Polyhedral complexes and fibers of ReLU networks: complete, certified, fast.\n\n"
        "Every answer begins with a sentence; --json prints the same as one document. Domains are written in one way: "
        "--domain -1,1 or --domain 0,1,0,2.\n\n"
        "Exit codes: 0 done or yes, 1 no, 2 usage, 3 not decided or out of budget, 4 bad input, 70 a fault of polyfiber, "
        "130 after Ctrl-C, 141 when the reader of the output is gone."
    ),
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version_callback(value: bool) -> None:
    if value:
        typer.echo(f"polyfiber {_version.__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    debug: bool = typer.Option(False, "--debug", help="Show the trace of an error."),
    version: bool = typer.Option(
        False, "--version", callback=_version_callback, is_eager=True, help="Print the version and stop."
    ),
) -> None:
    """Options before the command."""
    _state["debug"] = debug


_state: dict[str, Any] = {"debug": False, "compiling": False, "argv": []}


def in_one_line(text: str) -> str:
    """What a command does, for the list of commands: its first sentence, up to a colon.

    Examples
    --------
    >>> in_one_line("Describe the region of a point: its facets, distances, the affine map.")
    'Describe the region of a point.'
    """
    found = re.match(r"[^.:?]*[?]?", " ".join(text.split()))
    sentence = found[0] if found else ""
    return sentence if sentence.endswith("?") else f"{sentence}."


def _say_what_is_taken(command: Any) -> None:
    """What stands for the value of each option in help: N for a whole number, X for a number, else the option's name."""
    for parameter in inspect.signature(command).parameters.values():
        option, kind = parameter.default, str(getattr(parameter.annotation, "__name__", parameter.annotation))
        if isinstance(option, typer.models.OptionInfo) and option.metavar is None and kind in ("int", "float", "str"):
            names = [name for name in option.param_decls or () if name.startswith("--")]
            option.metavar = {"int": "N", "float": "X"}.get(kind, max(names, key=len).lstrip("-").upper())


def _register() -> None:
    for topic in TOPICS:
        name = f"{__package__}.{topic}"
        if importlib.util.find_spec(name) is not None:
            importlib.import_module(name).register(app)
    groups = (group.typer_instance for group in app.registered_groups)
    for command in (c for some in (app, *filter(None, groups)) for c in some.registered_commands):
        command.short_help = in_one_line(command.callback.__doc__ or "")
        _say_what_is_taken(command.callback)


def _say_compiling(name: str) -> None:
    """Once: that the silence is compilation."""
    if not _state["compiling"] and not {"-q", "--quiet"} & set(_state["argv"]):
        from ..kernels.jit import unkept

        said = "compiling, once (10 to 30 s on an idle machine); later runs load the code"
        if unkept:
            said = (
                "compiling (10 to 30 s on an idle machine), at every run: no folder for compiled code can be written; "
                "NUMBA_CACHE_DIR names one"
            )
        print(said, file=sys.stderr, flush=True)
    _state["compiling"] = True


def main(argv: list[str] | None = None) -> None:
    """Run the command line; whatever goes wrong is one line on standard error and an exit code."""
    mend_streams()
    _state["argv"] = sys.argv if argv is None else argv
    on_compiling(_say_compiling)
    try:
        with noting_interrupts() as pressed:
            try:
                app(args=argv, standalone_mode=True)
            finally:
                sys.stdout.flush()
                no_last_escape()
    except BaseException as error:
        if _state["debug"] and not isinstance(error, SystemExit):
            raise
        code, text = outcome(error, interrupted=bool(pressed))
        if text and not getattr(error, "told", False):  # an answer says it already
            print(f"polyfiber: {text}", file=sys.stderr)
        raise SystemExit(code) from None


_register()
