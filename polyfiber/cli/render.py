"""What commands print: a sentence, then tables on a terminal and plain lines elsewhere; one JSON document on request.

One way to write a value. In JSON: ``true`` and ``false``; ``"yes"``, ``"no"``, ``"undecided"`` for what may stay open; ``null`` for
what is not known or does not apply; infinities as ``"inf"`` and ``"-inf"``; a neuron as ``{"layer": 2, "neuron": 3}``. In text: yes
and no; a dash for null; inf and -inf; *neuron 3 of layer 2*. Layers count from 1, neurons of a layer from 0.
"""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from fractions import Fraction
from typing import Any

import typer

_answered: ContextVar[bool] = ContextVar("polyfiber_answered", default=False)
"""Whether the command that runs has begun its answer."""
EXITS = {"yes": 0, "no": 1, "undecided": 3}


def leave(verdict: Any) -> None:
    """End with the exit code of a verdict: 0 yes, 1 no, 3 undecided."""
    raise typer.Exit(EXITS[getattr(verdict, "value", verdict)])


# ---- JSON ---------------------------------------------------------------------------------------
def plain(value: Any) -> Any:
    """A value as JSON can hold it, written in the one way that the first lines of this module say."""
    if value is None or isinstance(value, str | bool):
        return str(value.value) if isinstance(value, Enum) else value
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None if math.isnan(value) else str(float(value))
    if isinstance(value, Fraction):
        try:
            return float(value)
        except OverflowError:  # a rational beyond all floats
            return str(value)
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset | range):
        return [plain(v) for v in value]
    if hasattr(value, "tolist"):  # arrays and their scalars, without importing numpy
        return plain(value.tolist())
    if hasattr(value, "numerator"):  # rationals of python-flint
        return plain(Fraction(int(value.numerator), int(value.denominator)))
    return str(value)


def to_json(value: Any) -> None:
    """One JSON document on standard output."""
    text = json.dumps(plain(value), indent=2, allow_nan=False)
    _answered.set(True)
    print(text)


def answered() -> bool:
    """Whether the command that runs has begun its answer: a sentence, or its document."""
    return _answered.get()


@contextmanager
def answering() -> Iterator[None]:
    """Within this block one command gives one answer."""
    token = _answered.set(False)
    try:
        yield
    finally:
        _answered.reset(token)


def tell(sentence: str, document: Mapping[str, Any], *, json: bool) -> bool:
    """Begin an answer: its sentence in text, or all of it as JSON; whether the rest of the text is wanted."""
    sentence = " ".join(sentence.split())
    if json:
        to_json({"answer": sentence, **document})
        return False
    _answered.set(True)
    print(sentence)
    return True


# ---- text ---------------------------------------------------------------------------------------
def shown(value: Any) -> str:
    """A value of a JSON document as text: the same digits, the same words."""
    value = plain(value)
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        if set(value) == {"layer", "neuron"}:
            return f"neuron {value['neuron']} of layer {value['layer']}"
        return ", ".join(f"{k} {shown(v)}" for k, v in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(map(shown, value)) or "-"
    return str(value)


def facts(
    document: Mapping[str, Any], *, title: str, only: Sequence[str] | None = None, leave_out: Sequence[str] = ()
) -> None:
    """The entries of a JSON document as a table: what text and JSON both say, they say from one place."""
    names = [n for n in (document if only is None else only) if n in document and n not in leave_out]
    table([(name.replace("_", " "), shown(document[name])) for name in names], header=("", title))


def table(rows: Sequence[Sequence[Any]], *, header: Sequence[str], title: str | None = None) -> None:
    """A table: drawn with rich on a terminal (colours by ``NO_COLOR`` and ``TERM``), tab-separated elsewhere."""
    cells = [[_text(c) for c in row] for row in rows]
    if not sys.stdout.isatty():
        if title:
            print(f"# {title}")
        print("\t".join(header))
        for row in cells:
            print("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text  # plain: names of files and notes may hold brackets, which rich would read as markup

    drawn = Table(title=None if title is None else Text(title), title_justify="left")
    for i, name in enumerate(header):
        numeric = all(_is_number(row[i]) for row in rows)
        drawn.add_column(Text(name), justify="right" if numeric else "left")
    for row in cells:
        drawn.add_row(*map(Text, row))
    Console(force_terminal=os.environ.get("TERM") != "dumb").print(drawn)


def _is_number(value: Any) -> bool:
    if hasattr(value, "tolist"):
        value = value.tolist()
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if _is_number(value) and sys.stdout.isatty():
        number = value.tolist() if hasattr(value, "tolist") else value
        if isinstance(number, int):
            return f"{number:,}"
    return value if isinstance(value, str) else shown(value)


def note(text: str, *, quiet: bool = False) -> None:
    """A remark on standard error."""
    if not quiet:
        print(text, file=sys.stderr)


# ---- progress -----------------------------------------------------------------------------------
LOG_SECONDS = 5.0
"""Between two lines of progress where standard error is no terminal."""
_last = [0.0]
"""When a line of progress was last written."""


def on_terminal() -> bool:
    """Whether lines on standard error may be rewritten."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _line(text: str, *, final: bool = False) -> None:
    _last[0] = time.monotonic()
    if on_terminal():
        print(f"\r\x1b[2K{text}", end="\n" if final else "", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)


def progress_line(*, quiet: bool = False) -> Callable[[Any], None] | None:
    """Progress callback: one rewritten line on a terminal, a line every few seconds elsewhere."""
    if quiet:
        return None
    _last[0] = time.monotonic()

    def show(event: Any) -> None:
        if event.phase.startswith("compiling"):
            return  # said already
        now = time.monotonic()
        final = event.total is not None and event.done >= event.total
        terminal = on_terminal()
        if now - _last[0] < (0.2 if terminal else LOG_SECONDS) and not (terminal and final):
            return
        of = "" if event.total is None else f"/{event.total}"
        more = "".join(f"  {k} {v:,}" if isinstance(v, int) else f"  {k} {v}" for k, v in event.facts.items())
        _line(f"{event.phase} {max(event.done, 0)}{of}{more}", final=final)

    return show


@contextmanager
def heartbeat(command: str, *, quiet: bool = False) -> Iterator[None]:
    """While a command is silent, a line every few seconds that says for how long it has worked, compiling included.

    It ends before processes are forked; from then on their progress is shown.
    """
    if quiet:
        yield
        return
    from ..budget import compiled_now
    from ..processes import before_forking

    started = _last[0] = time.monotonic()
    done = threading.Event()

    def beat() -> None:
        while not done.wait(1.0):
            now = time.monotonic()
            if now - _last[0] >= LOG_SECONDS:
                _line(f"{command}: {now - started:.0f} s" + (", compiling" if compiled_now() else ""))

    def end() -> None:
        done.set()
        thread.join()

    thread = threading.Thread(target=beat, name="polyfiber-heartbeat", daemon=True)
    thread.start()
    before_forking.append(end)
    try:
        yield
    finally:
        before_forking.remove(end)
        end()
        if on_terminal() and _last[0] > started:
            print("\r\x1b[2K", end="", file=sys.stderr, flush=True)
