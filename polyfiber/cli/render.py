"""What commands print: tables on a terminal, plain lines elsewhere, JSON on request."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def to_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=2, default=_plain, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.floating):
        return float(value) if np.isfinite(value) else str(value)
    return str(value)


def table(rows: Sequence[Sequence[Any]], *, header: Sequence[str], title: str | None = None) -> None:
    """A table: drawn with rich on a terminal, tab-separated elsewhere."""
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
    Console().print(drawn)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{int(value):,}" if sys.stdout.isatty() else str(int(value))
    if isinstance(value, float | np.floating):
        return f"{float(value):.6g}"
    return str(value)


def note(text: str, *, quiet: bool = False) -> None:
    """A remark on standard error."""
    if not quiet:
        print(text, file=sys.stderr)


def progress_line(*, quiet: bool = False) -> Callable[[Any], None] | None:
    """Progress callback: one rewritten line on a terminal, a line every few seconds elsewhere."""
    if quiet:
        return None
    last = [time.monotonic()]
    terminal = sys.stderr.isatty()

    def show(event: Any) -> None:
        if event.phase.startswith("compiling"):
            return  # said already
        now = time.monotonic()
        final = event.total is not None and event.done >= event.total
        if now - last[0] < (0.2 if terminal else 5.0) and not (terminal and final):
            return
        last[0] = now
        of = "" if event.total is None else f"/{event.total}"
        facts = "".join(f"  {k} {v:,}" if isinstance(v, int) else f"  {k} {v}" for k, v in event.facts.items())
        text = f"{event.phase} {event.done}{of}{facts}"
        if terminal:
            print(f"\r\x1b[2K{text}", end="\n" if final else "", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)

    return show
