"""The dataset card: what is in it, how it was made, how to read it, in Markdown."""

from __future__ import annotations

import json
from typing import Any

from ..plan import Plan
from ..sources import KINDS


def card(plan: Plan, manifest: dict[str, Any]) -> str:
    """Markdown with the header that dataset hubs read."""
    parts = [_header(manifest), f"# {manifest['title']}", manifest["description"], _counts(manifest), _sources(plan)]
    parts += [_table(name, entry) for name, entry in manifest["tables"].items()]
    parts += [_reading(manifest), _provenance(plan, manifest), f"## Licence\n\n{manifest['licence']}"]
    return "\n\n".join(parts) + "\n"


def _header(manifest: dict[str, Any]) -> str:
    lines = [
        "---",
        f"license: {manifest['licence'].lower()}",
        f"pretty_name: {json.dumps(manifest['title'], ensure_ascii=False)}",
        "configs:",
    ]
    for name in manifest["tables"]:
        lines += [f"- config_name: {name}", f"  data_files: {name}/*.parquet"]
    return "\n".join([*lines, "---"])


def _counts(manifest: dict[str, Any]) -> str:
    counts = manifest["counts"]
    lines = ["## Contents", "", "| table | rows | bytes | files | a row is |", "|---|---:|---:|---:|---|"]
    for name, entry in manifest["tables"].items():
        lines.append(
            f"| `{name}` | {entry['rows']:,} | {entry['bytes']:,} | {len(entry['files'])} | {entry['about']} |"
        )
    lines += ["", f"{counts['networks']:,} networks; {counts['failed']:,} of them could not be made (column `failed`)."]
    for name, entry in counts["left_out"].items():
        lines.append(f"Table `{name}` leaves out {entry['networks']:,}, for instance: {entry['first_reason']}")
    for whole in manifest["split"]:
        lines.append(
            f"Network {whole['network']} was enumerated in {whole['blocks']} blocks; together f = "
            f"({', '.join(map(str, whole['f_vector']))}), of these bounded ({', '.join(map(str, whole['bounded']))})."
        )
    return "\n".join(lines)


def _sources(plan: Plan) -> str:
    lines = ["## Networks", ""]
    for source in plan.spec.sources:
        text = KINDS[source.kind].describe(source.values)
        where = "" if source.domain is None else f" Complexes on the box {source.domain[0]} ≤ x ≤ {source.domain[1]}."
        lines.append(f"- `{source.name}` ({source.kind}): {text}{where}")
    return "\n".join(lines)


def _table(name: str, entry: dict[str, Any]) -> str:
    lines = [f"## Table `{name}`", "", entry["about"], ""]
    if entry["options"]:
        lines += ["Options: " + ", ".join(f"`{k} = {json.dumps(v)}`" for k, v in entry["options"].items()) + ".", ""]
    lines += ["| column | type | unit | meaning |", "|---|---|---|---|"]
    for column in entry["columns"]:
        kind = f"`{column['type']}`" + (", may be null" if column["nullable"] else "")
        lines.append(f"| `{column['name']}` | {kind} | {column['unit']} | {column['description']} |")
    return "\n".join(lines)


def _reading(manifest: dict[str, Any]) -> str:
    name = list(manifest["tables"])[-1]
    return f"""## Reading

```python
import polyfiber.datasets
data = polyfiber.datasets.load("DIR")            # lazily; data["{name}"].to_numpy()

import pandas, polars                            # or without polyfiber
pandas.read_parquet("DIR/{name}")
polars.scan_parquet("DIR/{name}/*.parquet")
```"""


def _provenance(plan: Plan, manifest: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in manifest["versions"].items())
    spec = json.dumps(plan.spec.given, indent=1, sort_keys=True, ensure_ascii=False)
    return f"""## Provenance

Made by `polyfiber dataset run` from the spec below: seed {manifest["seed"]}, {manifest["partitions"]} partitions, fingerprint of the
resolved spec `{manifest["fingerprint"]}`. Every network draws from `SeedSequence(seed, spawn_key=(entry, number))`, so any partition can be
made again alone, with the same bytes. Versions that the bytes depend on: {versions}. Checksums of all files: `SHA256SUMS`
(`sha256sum -c SHA256SUMS`); `polyfiber dataset validate DIR` derives a sample of rows again, another way.

```json
{spec}
```"""
