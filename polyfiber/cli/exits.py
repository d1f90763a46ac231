"""How a command ends: one line on standard error and an exit code.

0 done or yes, 1 no, 2 usage, 3 undecided or out of budget, 4 bad input or a file that cannot be written; as shells have
it, 130 after Ctrl-C and 141 when the reader of the output is gone; 70 for a fault of polyfiber itself.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from ..errors import IncompleteError, PolyfiberError

INTERRUPTED, NO_READER, FAULT = 130, 141, 70


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
        return 4, text
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
