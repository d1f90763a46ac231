"""Finish a dataset: name what is missing, or write manifest, checksums and card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import FileFormatError, IncompleteError, InputError
from ...words import one_line
from ..execution.splitting import Merged, merge, split_networks
from ..networks import Networks
from ..plan import Plan
from ..sources import KINDS
from ..sources.inputs import COPIES, copy_name
from ..spec import FORMAT_VERSION
from ..storage.store import DOCUMENTS, SUMS, Directory, listed, record_name, table_name
from ..tables import table
from .card import card
from .croissant import croissant


@dataclass(frozen=True)
class Finished:
    """What `finish` wrote: the manifest, and how many files have a checksum."""

    __repr__ = one_line

    directory: Path | str
    manifest: dict[str, Any]
    files: int


def finish(directory: str | Path) -> Finished:
    """Write ``manifest.json``, ``README.md`` (the card), ``croissant.json`` and ``SHA256SUMS``.

    The files are compared with their records first; a file that is known by size and time is not read again.

    Raises
    ------
    IncompleteError
        Partitions are not done, or their files are damaged; names them. ``partial`` lists their numbers.
    FileFormatError
        Not the directory of a dataset, or a copy of a source is damaged.
    InputError
        A run is at work in it.

    Examples
    --------
    >>> import tempfile
    >>> from polyfiber.datasets import finish, run
    >>> spec = {"name": "tiny", "seed": 1, "networks": [{"kind": "random", "architecture": [2, 4, 1], "count": 5}]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = run(spec, folder, workers=0, finish=False)
    ...     done = finish(folder)
    >>> done.manifest["tables"]["networks"]["rows"]
    5
    """
    place = Directory(directory)
    Plan.read(place)  # a lock makes its folder
    with place.lock():
        return sign(place)


def sign(place: Directory) -> Finished:
    """What `finish` does, for a caller that keeps others out."""
    plan = Plan.read(place)
    refuse_strangers(place, plan)
    records = [place.record(p, plan.fingerprint, plan.spec.tables) for p in plan.partitions]
    missing = [i for i, r in enumerate(records) if r is None]
    if missing:
        shown = ", ".join(map(str, missing[:10])) + (f" and {len(missing) - 10} more" if len(missing) > 10 else "")
        raise IncompleteError(
            f"{place}: {len(missing)} of {len(records)} partitions are not done, or damaged ({shown}); run again",
            partial=missing,
        )
    sources = {name: place.sha256(name) for name in copies(plan)}
    for name, digest in sources.items():
        if not name.startswith(f"{COPIES}/{digest}"):
            raise FileFormatError(
                f"{place}/{name} is damaged: it is named after other bytes than it holds; run the dataset again, which copies it anew"
            )
    manifest = described(place, plan, [r for r in records if r is not None])
    place.place.settle()
    place.write_json("manifest.json", manifest)
    place.place.write("README.md", card(plan, manifest).encode())
    place.write_json("croissant.json", croissant(plan, manifest))
    sums = {**sources, **{name: place.sha256(name) for name in DOCUMENTS}}
    sums |= {file["path"]: file["sha256"] for entry in manifest["tables"].values() for file in entry["files"]}
    sums |= {name: place.sha256(name) for name in map(record_name, range(len(records)))}
    place.place.write(SUMS, listed(sums))
    place.remember()
    return Finished(place.path, manifest, len(sums))


def copies(plan: Plan) -> tuple[str, ...]:
    """Names of the copies of the files that networks are made from."""
    files = [copy_name(*f) for s in plan.spec.sources for f in KINDS[s.kind].files(s.values)]
    return tuple(dict.fromkeys(files))


def refuse_strangers(place: Directory, plan: Plan) -> None:
    """Readers that take all files of a folder would take these too; what a run did not write it does not delete."""
    strangers = place.strangers(plan.spec.tables, len(plan.partitions))
    if strangers:
        more = f" and {len(strangers) - 5} more" if len(strangers) > 5 else ""
        raise InputError(f"{place}: {', '.join(strangers[:5])}{more}: not part of the dataset; move it elsewhere")


def described(place: Directory, plan: Plan, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The whole manifest.

    Raises
    ------
    IncompleteError
        The blocks of a network that was split do not make a whole complex.
    FileFormatError
        As `left_out`.
    """
    manifest = describe(plan, records)
    manifest["counts"]["left_out"] = left_out(place, plan)
    merged = merge_split(place, plan)
    problems = [text for m in merged for text in m.problems]
    if problems:
        raise IncompleteError(
            f"{place}: the blocks do not make a whole complex: {'; '.join(problems[:3])}", partial=problems
        )
    manifest["split"] = [m.to_json() for m in merged]
    return manifest


def describe(plan: Plan, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The manifest: schema, files and counts of each table."""
    spec = plan.spec
    tables: dict[str, Any] = {}
    for name, options in spec.tables.items():
        found = table(name)
        files = [
            {"path": table_name(name, r["partition"]), **r["tables"][name]} for r in records
        ]  # fmt: skip
        tables[name] = {
            "about": found.doc,
            "options": dict(options),
            "columns": [
                {"name": c.name, "type": c.type, "unit": c.unit, "nullable": c.nullable, "description": c.doc}
                for c in found.columns_for(options)
            ],
            "rows": sum(f["rows"] for f in files),
            "bytes": sum(f["bytes"] for f in files),
            "files": files,
        }
    return {
        "format": "polyfiber dataset",
        "format_version": FORMAT_VERSION,
        "name": spec.name,
        "title": spec.title,
        "description": spec.description,
        "licence": spec.licence,
        **spec.about,
        "splits": {name: list(entries) for name, entries in spec.splits.items()},
        "fingerprint": plan.fingerprint,
        "seed": spec.seed,
        "versions": dict(plan.versions),
        "partitions": len(records),
        "counts": {key: sum(r[key] for r in records) for key in ("networks", "failed", "skipped", "regions")},
        "tables": tables,
    }


def merge_split(place: Directory, plan: Plan) -> list[Merged]:
    """Sums over the blocks of each network that was split."""
    wanted = set(split_networks(plan.spec))
    rows: dict[int, list[dict[str, Any]]] = {}
    for p in plan.partitions:
        if p.blocks:
            rows.setdefault(p.first, []).extend(place.parquet(table_name("blocks", p.index)).read().to_pylist())
    networks = Networks(plan.spec)
    return [merge(networks.item(i), rows[i]) for i in sorted(wanted & set(rows))]


def left_out(place: Directory, plan: Plan) -> dict[str, Any]:
    """How many networks each table leaves out, and the first reason.

    Raises
    ------
    FileFormatError
        The plan names other versions than a file says of itself.
    """
    found: dict[str, Any] = {}
    for p in plan.partitions:
        wanted = ["skipped", "reasons"]
        rows = place.parquet(table_name("networks", p.index), columns=wanted).read(columns=wanted)
        if json.loads(rows.schema.metadata[b"polyfiber"])["versions"] != dict(plan.versions):
            raise FileFormatError(f"{place}/plan.json: damaged: it names other versions than the files were made with")
        names, reasons = (
            [text for chunk in rows.column(c).chunks for text in chunk.flatten().to_pylist()] for c in rows.column_names
        )
        for name, reason in zip(names, reasons):
            entry = found.setdefault(name, {"networks": 0, "first_reason": reason})
            entry["networks"] += 1
    return {name: found[name] for name in sorted(found)}
