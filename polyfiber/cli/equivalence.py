"""Commands about equivalence: equiv, dedupe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from ..words import count as counted
from .complexes import network_facts
from .options import NETWORK, Limits, NearCrew, Output, Where, grouped, refuse
from .outputs import require_writable
from .render import leave, note, table, tell
from .render import plain as _plain


# more than ten parameters: the options of one question, each on its own
def equiv(
    first: Path = NETWORK,
    second: Path = typer.Argument(..., metavar="OTHER", help="File of the network to compare it with."),
    tolerance: float = typer.Option(1e-9, "--tolerance", min=0.0, help="Relative tolerance; 0 for exact equality."),
    epsilon: float = typer.Option(
        None, "--epsilon", min=0.0, help="Ask instead whether no output differs by more than this on the domain."
    ),
    top1: bool = typer.Option(
        False, "--top1", help="Ask instead whether the largest output is the same everywhere on the domain."
    ),
    difference: bool = typer.Option(
        False, "--difference", help="Also report the largest difference on the domain, and where it is."
    ),
    verify: bool = typer.Option(False, "--verify", help="Check the answer again, by other ways than it was found."),
    save: Path = typer.Option(
        None, "--save", metavar="FILE", help="Write the answer and both networks as JSON, for polyfiber verify."
    ),
    *,
    where: Where,
    crew: NearCrew,
    limits: Limits,
    output: Output,
) -> None:
    """Decide whether two networks are the same function, with evidence.

    Exit code 0: they are, 1: they are not, 3: not decided.
    """
    from ..budget import Monitor
    from ..equivalence.decide import are_equivalent
    from ..equivalence.decide import difference as largest_difference
    from ..equivalence.saved import save_answer
    from ..equivalence.top1.decide import top1_agreement
    from ..errors import BudgetExceededError
    from ..network.readers import read_network

    if where.everywhere:
        refuse(("--epsilon", "--top1", "--difference"), "only with a bounded domain; give --domain lo,hi")
    if top1:
        refuse(("--epsilon", "--tolerance"), "not with --top1, which compares no values")
        refuse(("--save",), "not with --top1; answers about equality are kept")
    if epsilon is not None:
        refuse(("--tolerance",), "not with --epsilon, which is absolute")
    if not epsilon:
        refuse(("--workers", "-w", "--scheduler"), "only with --epsilon above 0, whose boxes are shared")
    members = crew.members
    if save is not None:
        require_writable(save, "the answer")
    a, b = read_network(first), read_network(second)
    box = where.domain_of(a)
    monitor = Monitor(limits.budget)
    budget = monitor.budget
    progress = output.progress
    answer: dict[str, Any] = {"first": network_facts(a), "second": network_facts(b), "domain": where.named(a)}
    result: Any
    if top1:
        assert box is not None
        result = top1_agreement(a, b, box, budget=budget, progress=progress)
        answer |= {"question": "top-1 agreement"}
    else:
        result = are_equivalent(
            a, b, box, tolerance=tolerance, epsilon=epsilon, budget=budget, progress=progress, **members
        )
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
            note(f"{error}; the exact verdict or the moves are not reported", quiet=output.quiet)
    answer |= {"verdict": result.verdict.value, "method": result.method, "reason": result.reason}
    answer |= {
        "proved_share": float(result.proved),
        "certificate": {k.replace(" ", "_"): v for k, v in _plain(dict(result.certificate)).items()},
    }
    sentence = result.sentence
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
        save_answer(result, save)
    if verify:
        left = monitor.rest() if limits.seconds is not None else None
        again = result.recheck(budget=left, **(members if epsilon else {}))
        answer["recheck"] = {
            "verdict": again.verdict.value, "reason": again.reason, "checks": list(again.checks),
            "seconds": again.seconds, "text": again.sentence,
        }  # fmt: skip
        if again.verdict.value == "no":
            answer["verdict"] = "undecided"
            sentence = f"Not decided: the answer found ({result.method}) was refuted when it was checked again; please report this."
        elif again.verdict.value == "yes" and result.verdict.value != "undecided":
            sentence += " Confirmed by a second way."
    if difference:
        found = largest_difference(a, b, box, budget=monitor.rest(), progress=progress)
        answer["difference"] = {
            "maximum": _plain(found.maximum), "upper": _plain(found.upper), "where": _plain(found.where),
            "output": found.output, "complete": found.complete, "method": found.method, "regions": found.n_regions,
        }  # fmt: skip
    if tell(sentence, answer, json=output.json):
        _print(answer)
    leave(answer["verdict"])


WIDE = 120
"""Longest text of a move, and about the longest point, in the table."""


def _point(values: list[float]) -> str:
    """A point to paste; the beginning of a long one."""
    begin = values if len(values) <= 16 else values[:4]
    text = " ".join(f"{v:.17g}" for v in begin)
    return text if len(begin) == len(values) else f"{text} … ({counted(len(values), 'coordinate')}, whole with --json)"


def _print(answer: dict[str, Any]) -> None:
    words = {"yes": "equivalent", "no": "different", "undecided": "not decided"}
    if answer["question"].startswith("|f - g|"):
        words = {"yes": "near", "no": "not near", "undecided": "not decided"}
    if answer["question"] == "top-1 agreement":
        words = {"yes": "agree", "no": "disagree", "undecided": "not decided"}
    rows: list[tuple[str, Any]] = [("verdict", words[answer["verdict"]])]
    if "exact_verdict" in answer:
        exactly = {"yes": "the same function", "no": "different functions", "undecided": "not decided"}
        if answer["verdict"] == "yes":
            exactly["no"] = "not quite the same function"
        rows.append(("with no difference allowed at all", exactly[answer["exact_verdict"]]))
    rows += [("method", answer["method"]), ("reason", answer["reason"])]
    if answer.get("bound") is not None:
        rows.append(
            ("relative distance" if answer["domain"].startswith("all of R^") else "bound of |f - g|", answer["bound"])
        )
    if answer["verdict"] == "undecided":
        rows.append(("share proved", answer["proved_share"]))
        rows += [(name, answer[name]) for name in ("proved",) if name in answer]
        if "everywhere" in answer:
            rows.append(("at every input", answer["everywhere"]["text"]))
    if "witness" in answer:
        rows.append(("differ at", _point(answer["witness"]["input"])))
        rows.append(("by", answer["witness"]["gap"]))
    if len(answer.get("moves", [])) > 1:
        rows.append(("moves", "one after the other; each counts neurons in the network that those before it left"))
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
    collection: str = typer.Argument(
        ...,
        metavar="COLLECTION",
        help="A directory of network files, a Parquet file, or the address of a table of networks (s3://bucket/DIR/networks).",
    ),
    tolerance: float = typer.Option(1e-9, "--tolerance", min=0.0, help="Relative tolerance of equality."),
    write: Path = typer.Option(
        None, "--write", metavar="DIR", help="Write one representative of each class to this directory."
    ),
    all_classes: bool = typer.Option(False, "--all", help="In text: list classes with one member too."),
    *,
    limits: Limits,
    output: Output,
) -> None:
    """Group a collection of networks into classes of equal functions.

    Exit code 3 when some pairs were not decided (they are kept apart), 4 when some files could not be read
    (the others are grouped all the same).
    """
    import re
    import shutil

    from ..equivalence.collections.classes import group_networks
    from ..equivalence.collections.collection import network_at, network_files
    from ..errors import InputError
    from ..network.names import local_path

    if output.json:
        refuse(("--all",), "not with --json, which lists every class")
    address = "://" in collection
    directory = Path("." if address else local_path(collection, "a collection of networks"))
    if not directory.exists():
        raise InputError(f"{directory} does not exist; expected a directory of networks or a Parquet file")
    files = None if address else network_files(directory)
    if files is not None and not files:
        what = "holds no network files" if directory.is_dir() else "is one file, and no Parquet file"
        raise InputError(f"{directory} {what}; expected a directory of networks or a Parquet file")
    if write is not None:
        try:
            local_path(write, "a directory of representatives").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write to the directory {write}: {error.strerror}") from None
        there = sorted(p.name for p in write.iterdir() if re.fullmatch(r"class\d{6}\..+", p.name))
        if there:
            raise InputError(f"{write} holds {there[0]} already; choose a directory without representatives")
    found = group_networks(
        collection if files is None else files, tolerance=tolerance, budget=limits.budget,
        unreadable="skip", progress=output.progress,
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
                network_at(collection, first).save(write / f"class{label:06d}.npz")
        note(f"wrote {counted(found.n_classes, 'representative')} to {write}", quiet=output.quiet)
    undecided = [[name(i), name(j)] for i, j in found.undecided]
    unreadable = {name(i): reason for i, reason in found.unreadable.items()}
    for reason in unreadable.values():
        note(f"polyfiber: not read: {reason}", quiet=output.quiet)
    facts = {
        "networks": len(found.labels) - len(unreadable), "n_classes": found.n_classes, "classes": classes,
        "undecided": undecided, "unreadable": unreadable, "labels": found.labels, "stats": found.stats,
    }  # fmt: skip
    sentence = found.sentence
    if unreadable:
        sentence += f" {counted(len(unreadable), 'file')} could not be read and {'is' if len(unreadable) == 1 else 'are'} left out."
    if tell(sentence, facts, json=output.json):
        listed = [c for c in classes if all_classes or len(c["members"]) > 1]
        rows = [(c["class"], len(c["members"]), c["representative"], _short(c["members"][1:])) for c in listed]
        table(
            rows, header=("class", "networks", "representative", "equal to it"),
            title=f"{counted(facts['networks'], 'network')}, {counted(found.n_classes, 'class', 'classes')}",
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
    app.command("dedupe")(grouped(dedupe))
