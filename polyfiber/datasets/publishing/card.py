"""The dataset card: what is in it, how it was made, how to read it, in Markdown."""

from __future__ import annotations

import json
import re
from typing import Any

from ..plan import Plan
from ..sources import KINDS


def card(plan: Plan, manifest: dict[str, Any]) -> str:
    """Markdown with the header that dataset hubs read."""
    parts = [
        _header(plan, manifest),
        f"# {manifest['title']}",
        manifest["description"],
        _counts(manifest),
        _sources(plan),
    ]
    parts += [_table(name, entry) for name, entry in manifest["tables"].items()]
    parts += [_reading(manifest), _provenance(plan, manifest), *_words(plan, manifest)]
    return "\n\n".join(parts) + "\n"


def _header(plan: Plan, manifest: dict[str, Any]) -> str:
    lines = [
        "---",
        *_licence(manifest["licence"]),
        f"pretty_name: {json.dumps(manifest['title'], ensure_ascii=False)}",
        "configs:",
    ]
    for name, entry in manifest["tables"].items():
        lines += [f"- config_name: {name}"]
        if not plan.spec.splits:
            lines += [f"  data_files: {name}/*.parquet"]
            continue
        lines += ["  data_files:"]
        for split, entries in plan.spec.splits.items():
            lines += [f"  - split: {split}", "    path:"]
            lines += [f"    - {f['path']}" for f, p in zip(entry["files"], plan.partitions) if p.source in entries]
    return "\n".join([*lines, "---"])


HUB = (
    "apache-2.0",
    "mit",
    "cc0-1.0",
    "cc-by-4.0",
    "cc-by-sa-4.0",
    "cc-by-nc-4.0",
    "bsd-3-clause",
    "bsd-2-clause",
    "gpl-3.0",
    "odbl",
    "pddl",
    "odc-by",
)
"""Licences that the largest hub knows by name; others are `other` there, with a name of their own."""


def _licence(licence: str) -> list[str]:
    own = licence.lower()
    return [f"license: {own}"] if own in HUB else ["license: other", f"license_name: {json.dumps(licence)}"]


def _words(plan: Plan, manifest: dict[str, Any]) -> list[str]:
    """Who, when, how to cite, what not to do with it, under which licence."""
    about, spec = plan.spec.about, plan.spec
    parts = []
    facts = [
        (word, about[key])
        for word, key in (("Version", "version"), ("Date", "date"), ("Published at", "url"))
        if key in about
    ]
    if "authors" in about:
        facts.insert(0, ("Authors", ", ".join(about["authors"])))
    if facts:
        parts.append("## About\n\n" + "\n".join(f"- {word}: {text}" for word, text in facts))
    if "limitations" in about:
        parts.append(f"## Limitations\n\n{about['limitations']}")
    if spec.splits:
        rows = "\n".join(
            f"- `{name}`: entries {', '.join(f'`{e}`' for e in entries)}" for name, entries in spec.splits.items()
        )
        parts.append(
            f"## Splits\n\nBy entries of the spec; networks made from others are in the split of their origins.\n\n{rows}"
        )
    if "citation" in about:
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", about["citation"])), default=0))
        parts.append(f"## Citation\n\n{fence}\n{about['citation']}\n{fence}")
    licence = f"## Licence\n\n{manifest['licence']}"
    for source in spec.sources:
        stated = spec.licences.get(source.name) or SOURCES.get(str(source.values.get("data", "")))
        if stated or source.kind in ("files", "trained"):
            licence += (
                f"\n\nWhat the networks of `{source.name}` are made from: {stated or 'licence not stated in the spec'}."
            )
    return [*parts, licence]


SOURCES = {
    "iris": "CC-BY-4.0 (UCI Machine Learning Repository)",
    "wine": "CC-BY-4.0 (UCI Machine Learning Repository)",
    "breast_cancer": "CC-BY-4.0 (UCI Machine Learning Repository)",
    "digits": "CC-BY-4.0 (UCI Machine Learning Repository)",
    "diabetes": "data of Efron, Hastie, Johnstone and Tibshirani (2004), distributed with scikit-learn; no licence stated",
}
"""Licence of the data that ships inside scikit-learn."""


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
