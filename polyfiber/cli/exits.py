"""How a command ends: one line on standard error and an exit code.

0 done or yes, 1 no, 2 usage, 3 undecided or out of budget, 4 bad input or a file that cannot be written; as shells have
it, 130 after Ctrl-C and 141 when the reader of the output is gone; 70 for a fault of polyfiber itself.
"""

from __future__ import annotations

import atexit
import errno
import math
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from ..budget import SoFar
from ..errors import BudgetExceededError, IncompleteError, PolyfiberError
from .render import tell

INTERRUPTED, NO_READER, FAULT = 130, 141, 70
LESS = {"--domain": "a smaller --domain", "--rank": "one --rank", "--count": "--count alone"}
"""Options that ask for less, where a command has them and they were not written."""
NO_MACHINE = 10**14
"""Bytes that nobody is told to get."""


def mend_streams() -> None:
    """Closed streams lead nowhere; what a stream's encoding cannot hold is written as an escape."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def noting_interrupts() -> Iterator[list[int]]:
    """Note each Ctrl-C beside raising it: one that falls into a compiler's callback comes out as another error."""
    pressed: list[int] = []
    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield pressed
        return

    def note(number: int, frame: FrameType | None) -> None:
        pressed.append(number)
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def no_last_escape() -> None:
    """Keep colorama, which numba imports, from writing an escape sequence at the end to a terminal that knows none."""
    if os.environ.get("TERM") == "dumb" and "colorama.initialise" in sys.modules:
        atexit.unregister(sys.modules["colorama.initialise"].reset_all)


def outcome(error: BaseException, *, interrupted: bool) -> tuple[int, str]:
    """Exit code and line of what a command raised."""
    chain = _chain(error)
    if interrupted or any(isinstance(e, KeyboardInterrupt) for e in chain):
        return INTERRUPTED, "interrupted"
    text = " ".join(str(error).split())
    if isinstance(error, PolyfiberError):
        return (3 if isinstance(error, IncompleteError) else 4), text
    if any(isinstance(e, BrokenPipeError) for e in chain):
        _discard_output()
        return NO_READER, ""
    if isinstance(error, SystemExit):
        return (error.code if isinstance(error.code, int) else int(error.code is not None)), ""
    if isinstance(error, MemoryError):
        return 3, f"out of memory: {text or 'an allocation failed'}; --memory sets a limit beforehand"
    if isinstance(error, OSError):
        unnamed = error.errno in (errno.ENOSPC, errno.EFBIG, errno.EIO) and error.filename is None
        return 4, f"the output could not be written: {error.strerror}" if unnamed else text
    return FAULT, f"internal error: {type(error).__name__}: {text}; polyfiber --debug … shows where"


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    step: BaseException | None = error
    while step is not None and step not in found:
        found.append(step)
        step = step.__cause__ or step.__context__
    return found


def _discard_output() -> None:
    """Let what is still buffered go nowhere, or the interpreter complains at its end."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# ---- an answer where the budget ended before there was one -----------------------------------------
def tell_stopped(stop: BaseException, command: str, options: Mapping[str, bool], *, json: bool) -> None:
    """Print it: a sentence, or one document with the key ``stopped``; ``options`` of the command: whether each was written."""
    reason = " ".join(str(stop).split()) or "an allocation failed"
    limit, flag, had = _limit(stop)
    partial, step = _plain(getattr(stop, "partial", None))
    sentence = f"Not finished: {reason}"
    if limit is not None:
        sentence += "; nothing was decided before" if partial is None else f"; so far: {partial:.6g}{step}"
    sentence += "."
    needed = getattr(stop, "facts", {}).get("needed")
    if needed is not None and needed > NO_MACHINE:
        pass  # no limit and no machine would do: the reason says what to ask instead
    elif flag is not None:
        sentence += f" To go on, give it more {flag}."
    elif limit == "memory":
        less = [f"{what}, or " for flag, what in LESS.items() if options.get(flag) is False]
        sentence += f" To go on, give it {''.join(less)}a machine with more memory."
    stopped: dict[str, Any] = {"command": command, "reason": reason, "limit": limit, "option": flag, "budget": had}
    tell(sentence, {"stopped": stopped | {"so_far": partial}}, json=json)
    stop.__dict__["told"] = True


def _limit(stop: BaseException) -> tuple[str | None, str | None, float | None]:
    """What ran out, the option that sets it, and how much of it there was."""
    facts = getattr(stop, "facts", {})
    if isinstance(stop, MemoryError) or "memory" in facts:
        return "memory", None if facts.get("machine", True) else "--memory", facts.get("memory")
    if "seconds" in facts or "elapsed" in facts:
        return "seconds", "--seconds", facts.get("seconds")
    if isinstance(stop, BudgetExceededError):
        return "seconds or memory", "--seconds or --memory", None
    return None, None, None


def _plain(partial: Any) -> tuple[float | None, str]:
    """What was found, where it is a number, and the words behind it; other values stay in Python."""
    if isinstance(partial, SoFar):
        return partial.done or None, f" {partial.step}"
    if isinstance(length := getattr(partial, "length", None), float):
        return length, ", the length of the shortest way found"
    if isinstance(partial, bool) or not isinstance(partial, int | float) or not math.isfinite(partial):
        return None, ""
    return partial, ""
