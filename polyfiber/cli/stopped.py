"""The answer of a command whose budget ended before it had one: what stopped, what was found, and what would decide."""

from __future__ import annotations

import math
from typing import Any

from ..errors import BudgetExceededError
from .render import tell

__all__ = ["tell_stopped"]


def tell_stopped(stop: BaseException, command: str, *, json: bool) -> None:
    """Print it: a sentence, or one document with the key ``stopped``."""
    reason = " ".join(str(stop).split()) or "an allocation failed"
    limit, flag, had = _limit(stop)
    partial = _plain(getattr(stop, "partial", None))
    found = "nothing was decided before" if partial is None else f"so far: {partial:.6g}"
    sentence = f"Not finished: {reason}; {found}."
    if flag is not None:
        sentence += f" To go on, give it more {flag}."
    elif limit == "memory":
        sentence += " To go on, give it a smaller domain, or a machine with more memory."
    stopped: dict[str, Any] = {"command": command, "reason": reason, "limit": limit, "option": flag, "budget": had}
    tell(sentence, {"stopped": stopped | {"so_far": partial}}, json=json)


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


def _plain(partial: Any) -> float | None:
    """What was found, where it is a number; other values stay in Python."""
    if isinstance(partial, bool) or not isinstance(partial, int | float) or not math.isfinite(partial):
        return None
    return partial
