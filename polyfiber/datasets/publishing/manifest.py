"""Finish a dataset: name what is missing, or write manifest, checksums and card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import IncompleteError
from ..execution.splitting import Merged, merge, split_networks
from ..networks import Networks
from ..plan import Plan
from ..sources.files import checksum
from ..spec import FORMAT_VERSION
from ..storage.arrow import parquet
from ..storage.store import Directory, json_bytes, part_name, write_atomically
from ..tables import table
from .card import card

SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Finished:
    """What `finish` wrote: the manifest, and how many files have a checksum."""

    directory: Path
    manifest: dict[str, Any]
    files: int


def finish(directory: str | Path) -> Finished:
    """Write ``manifest.json``, ``README.md`` (the card) and ``SHA256SUMS``.

    Raises
    ------
    IncompleteError
        Partitions are not done; names them. ``partial`` lists their numbers.
    FileFormatError
        Not the directory of a dataset.
    """
    place = Directory(directory)
    plan = Plan.read(place.path)
    records = [place.record(p.index, plan.fingerprint) for p in plan.partitions]
    missing = [i for i, r in enumerate(records) if r is None]
    if missing:
        shown = ", ".join(map(str, missing[:10])) + (f" and {len(missing) - 10} more" if len(missing) > 10 else "")
        raise IncompleteError(
            f"{place.path}: {len(missing)} of {len(records)} partitions are not done ({shown}); run again",
            partial=missing,
        )
    whole = [r for r in records if r is not None]
    manifest = describe(plan, whole)
    manifest["counts"]["left_out"] = left_out(place, plan)
    merged = merge_split(place, plan)
    problems = [text for m in merged for text in m.problems]
    if problems:
        raise IncompleteError(
            f"{place.path}: the blocks do not make a whole complex: {'; '.join(problems[:3])}", partial=problems
        )
    manifest["split"] = [m.to_json() for m in merged]
    write_atomically(place.path / "manifest.json", json_bytes(manifest), work=place.work)
    write_atomically(place.path / "README.md", card(plan, manifest).encode(), work=place.work)
    sums = [(checksum(place.path / name), name) for name in ("README.md", "manifest.json", "plan.json")]
    sums += [(file["sha256"], file["path"]) for entry in manifest["tables"].values() for file in entry["files"]]
    sums += [(checksum(place.record_file(i)), f"records/{part_name(i, 'json')}") for i in range(len(records))]
    text = "".join(f"{digest}  {name}\n" for digest, name in sorted(sums, key=lambda s: s[1]))
    write_atomically(place.path / SUMS, text.encode(), work=place.work)
    return Finished(place.path, manifest, len(sums))


def describe(plan: Plan, records: list[dict[str, Any]]) -> dict[str, Any]:
    """The manifest: schema, files and counts of each table."""
    spec = plan.spec
    tables: dict[str, Any] = {}
    for name, options in spec.tables.items():
        found = table(name)
        files = [
            {"path": f"{name}/{part_name(r['partition'])}", **r["tables"][name]} for r in records
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
            rows.setdefault(p.first, []).extend(parquet().read_table(place.table_file("blocks", p.index)).to_pylist())
    networks = Networks(plan.spec)
    return [merge(networks.item(i), rows[i]) for i in sorted(wanted & set(rows))]


def left_out(place: Directory, plan: Plan) -> dict[str, Any]:
    """How many networks each table leaves out, and the first reason."""
    found: dict[str, Any] = {}
    for p in plan.partitions:
        rows = parquet().read_table(place.table_file("networks", p.index), columns=["skipped", "reasons"])
        names, reasons = (
            [text for chunk in rows.column(c).chunks for text in chunk.flatten().to_pylist()] for c in rows.column_names
        )
        for name, reason in zip(names, reasons):
            entry = found.setdefault(name, {"networks": 0, "first_reason": reason})
            entry["networks"] += 1
    return {name: found[name] for name in sorted(found)}
