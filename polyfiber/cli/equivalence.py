"""Commands about equivalence: equiv, dedupe."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import typer

from .complexes import make_budget, network_facts, parse_box
from .options import Limits, Output, grouped
from .render import note, progress_line, table, to_json


def _plain(value: Any) -> Any:
    """Arrays, fractions and infinities as JSON can hold them."""
    import numpy as np

    if isinstance(value, np.ndarray):
        return [_plain(v) for v in value.tolist()]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, str | bool | int) or value is None:
        return value
    try:
        number = float(value)
    except OverflowError:  # a rational beyond all floats
        return str(value)
    return number if math.isfinite(number) else str(number)


def equiv(
    first: Path = typer.Argument(..., help="Network: .onnx .npz .safetensors .pt .h5 .keras .nnet"),
    second: Path = typer.Argument(..., help="The network to compare it with."),
    domain: str = typer.Option(
        None, "--domain", "--box", help="Box lo,hi or lo1,hi1,lo2,hi2,…; all of R^n by default."
    ),
    tolerance: float = typer.Option(1e-9, "--tolerance", help="Relative tolerance; 0 for exact equality."),
    epsilon: float = typer.Option(None, "--epsilon", help="Ask for max |f - g| <= epsilon on the box instead."),
    top1: bool = typer.Option(False, "--top1", help="Ask for the same largest output everywhere on the box instead."),
    difference: bool = typer.Option(False, "--difference", help="Also report max |f - g| on the box and where."),
    verify: bool = typer.Option(False, "--verify", help="Check the answer again, by other ways than it was found."),
    save: Path = typer.Option(None, "--save", help="Write the answer and both networks as JSON, for polyfiber verify."),
    *,
    limits: Limits,
    output: Output,
) -> None:
    """Are two networks the same function? With evidence.

    Exit code 0: equivalent, 1: different, 3: not decided.
    """
    from ..budget import Monitor
    from ..equivalence.decide import are_equivalent
    from ..equivalence.decide import difference as largest_difference
    from ..equivalence.saved import save_answer
    from ..equivalence.top1.decide import top1_agreement
    from ..errors import BudgetExceededError, InputError
    from ..network.readers import read_chain as read_network

    a, b = read_network(first), read_network(second)
    box = None if domain is None else parse_box(domain, a.architecture[0])
    if box is None and (epsilon is not None or top1 or difference):
        raise InputError("--epsilon, --top1 and --difference are questions about a box; give one with --domain lo,hi")
    monitor = Monitor(limits.budget)
    budget = monitor.budget
    progress = progress_line(quiet=output.quiet or output.json)
    answer: dict[str, Any] = {"first": network_facts(a), "second": network_facts(b), "domain": domain or "R^n"}
    result: Any
    if top1:
        assert box is not None
        result = top1_agreement(a, b, box, budget=budget, progress=progress)
        answer |= {"question": "top-1 agreement"}
    else:
        result = are_equivalent(a, b, box, tolerance=tolerance, epsilon=epsilon, budget=budget, progress=progress)
        answer |= {
            "question": "equivalence" if not epsilon else f"|f - g| <= {epsilon:g}",
            "tolerance": tolerance,
            "exact_verdict": "undecided",
            "bound": _plain(result.bound),
        }
        try:  # what else is known, with the time that is left
            with monitor.watching():
                answer["exact_verdict"] = result.exact_verdict.value
                if result.moves is not None:
                    answer["moves"] = [str(move) for move in result.moves.moves]
        except BudgetExceededError as error:
            note(f"{error}; the exact verdict or the moves are not reported", quiet=output.quiet or output.json)
    answer |= {"verdict": result.verdict.value, "method": result.method, "reason": result.reason}
    answer |= {"proved_share": float(result.proved), "certificate": _plain(dict(result.certificate))}
    growth = getattr(result, "growth", None)
    if growth is not None:
        answer["everywhere"] = {"constant": _plain(growth.constant), "slope": _plain(growth.slope), "text": str(growth)}
        answer["proved"] = str(result.part)
    if result.proof is not None:
        answer["witness"] = {
            "input": _plain(result.proof.x),
            "outputs": [_plain(v) for v in result.proof.values],
            "gap": _plain(result.proof.gap),
            "proof": result.proof.proof,
        }
    answer["seconds"] = float(result.stats.get("seconds", 0.0))
    if save is not None:
        if top1:
            raise InputError("--save keeps answers about equality; not with --top1")
        save_answer(result, save)
    if verify:
        again = result.recheck(budget=monitor.rest() if limits.seconds is not None else None)
        answer["recheck"] = {
            "verdict": again.verdict.value, "reason": again.reason, "checks": list(again.checks),
            "seconds": again.seconds, "text": str(again),
        }  # fmt: skip
        if again.verdict.value == "no":
            answer["verdict"] = "undecided"
    if difference:
        found = largest_difference(a, b, box, budget=monitor.rest(), progress=progress)
        answer["difference"] = {
            "maximum": _plain(found.maximum), "upper": _plain(found.upper), "where": _plain(found.where),
            "output": found.output, "complete": found.complete, "method": found.method, "regions": found.n_regions,
        }  # fmt: skip
    if output.json:
        to_json(answer)
    else:
        _print(answer)
    raise typer.Exit({"yes": 0, "no": 1, "undecided": 3}[answer["verdict"]])


WIDE = 120
"""Longest text of a move, and about the longest point, in the table."""


def _point(values: list[float]) -> str:
    """A point to paste; the beginning of a long one."""
    shown = values if len(values) <= 16 else values[:4]
    text = " ".join(f"{v:.17g}" for v in shown)
    return text if len(shown) == len(values) else f"{text} … ({len(values)} coordinates, whole with --json)"


def _sentence(answer: dict[str, Any]) -> str:
    """The answer about near networks as one would say it."""
    facts, asked = answer["certificate"], answer["question"]
    if answer["verdict"] == "yes":
        seen = facts.get("attained")
        text = f"Yes: {asked} at every input of the box"
        return text + (f"; the largest difference that was met is {seen:.6g}." if seen is not None else ".")
    if answer["verdict"] == "no" and "witness" in answer:
        return f"No: at an input of the box an output differs by {answer['witness']['gap']:.6g}, computed exactly."
    return f"Not decided: {answer['reason']}."


def _print(answer: dict[str, Any]) -> None:
    words = {"yes": "equivalent", "no": "different", "undecided": "not decided"}
    if answer["question"].startswith("|f - g|"):
        words = {"yes": "near", "no": "not near", "undecided": "not decided"}
        print(_sentence(answer))
    if answer["question"] == "top-1 agreement":
        words = {"yes": "agree", "no": "disagree", "undecided": "not decided"}
    rows: list[tuple[str, Any]] = [("verdict", words[answer["verdict"]])]
    if "exact_verdict" in answer:
        exactly = {"yes": "equivalent", "no": "different", "undecided": "not decided"}
        rows.append(("exactly", (words if "near" not in words.values() else exactly)[answer["exact_verdict"]]))
    rows += [("method", answer["method"]), ("reason", answer["reason"])]
    if answer.get("bound") is not None:
        rows.append(("bound", answer["bound"]))
    if answer["verdict"] == "undecided":
        rows.append(("share proved", answer["proved_share"]))
        rows += [(name, answer[name]) for name in ("proved",) if name in answer]
        if "everywhere" in answer:
            rows.append(("at every input", answer["everywhere"]["text"]))
    if "witness" in answer:
        rows.append(("differ at", _point(answer["witness"]["input"])))
        rows.append(("by", answer["witness"]["gap"]))
    for move in answer.get("moves", []):
        rows.append(("move", move if len(move) <= WIDE else f"{move[:WIDE]}… (whole with --json)"))
    if "difference" in answer:
        found = answer["difference"]
        rows.append(("max |f - g|", found["maximum"]))
        rows.append(("at most", found["upper"]))
        if found["where"] is not None:
            rows.append(("attained at", _point(found["where"])))
    if "recheck" in answer:
        rows.append(("checked again", answer["recheck"]["text"]))
    rows.append(("seconds", answer["seconds"]))
    table(rows, header=("", answer["question"]))


def dedupe(
    directory: Path = typer.Argument(..., help="Directory of networks, or Parquet file."),
    tolerance: float = typer.Option(1e-9, "--tolerance", help="Relative tolerance."),
    write: Path = typer.Option(None, "--write", help="Write one representative of each class to this directory."),
    all_classes: bool = typer.Option(False, "--all", help="List classes with one member too."),
    seconds: float = typer.Option(None, "--seconds", help="Time budget."),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress."),
) -> None:
    """Group a collection of networks into classes of equal functions.

    Exit code 3 when some pairs were not decided (they are kept apart), 4 when some files could not be read
    (the others are grouped all the same).
    """
    import shutil
    import sys

    from ..equivalence.collections.classes import group_networks
    from ..equivalence.collections.collection import network_at, network_files
    from ..errors import InputError

    if not directory.exists():
        raise InputError(f"{directory} does not exist; expected a directory of networks or a Parquet file")
    files = network_files(directory)
    if files is not None and not files:
        what = "holds no network files" if directory.is_dir() else "is one file, and no Parquet file"
        raise InputError(f"{directory} {what}; expected a directory of networks or a Parquet file")
    if write is not None:
        try:
            write.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write to the directory {write}: {error.strerror}") from None
    found = group_networks(
        directory if files is None else files, tolerance=tolerance, budget=make_budget(seconds, None),
        unreadable="skip", progress=progress_line(quiet=quiet or json),
    )  # fmt: skip

    def name(i: int) -> str:
        return str(i) if files is None else str(files[i].relative_to(directory) if directory.is_dir() else files[i])

    classes: list[dict[str, Any]] = []
    for label, first in enumerate(found.representatives.tolist()):
        members = found.members(label)
        classes.append({"class": label, "representative": name(first), "members": [name(int(i)) for i in members]})
    if write is not None:
        for label, first in enumerate(found.representatives.tolist()):
            if files is not None:
                shutil.copy2(files[first], write / f"class{label:06d}{files[first].suffix}")
            else:
                network_at(directory, first).save(write / f"class{label:06d}.npz")
        note(f"wrote {found.n_classes} representatives to {write}", quiet=quiet)
    undecided = [[name(i), name(j)] for i, j in found.undecided]
    unreadable = {name(i): reason for i, reason in found.unreadable.items()}
    for reason in unreadable.values():
        print(f"polyfiber: not read: {reason}", file=sys.stderr)
    if json:
        to_json(
            {
                "networks": len(found.labels) - len(unreadable), "classes": classes, "undecided": undecided, "unreadable": unreadable,
                "labels": found.labels.tolist(), "stats": _plain(found.stats),
            }
        )  # fmt: skip
    else:
        shown = [c for c in classes if all_classes or len(c["members"]) > 1]
        rows = [(c["class"], len(c["members"]), c["representative"], _short(c["members"][1:])) for c in shown]
        table(
            rows, header=("class", "networks", "representative", "equal to it"),
            title=f"{len(found.labels) - len(unreadable)} networks, {found.n_classes} classes",
        )  # fmt: skip
        for i, j in undecided[:20]:
            print(f"not decided: {i} and {j}")
    if unreadable or undecided:
        raise typer.Exit(4 if unreadable else 3)


def _short(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def register(app: typer.Typer) -> None:
    """Add the commands of this topic."""
    app.command("equiv")(grouped(equiv))
    app.command("dedupe")(dedupe)
