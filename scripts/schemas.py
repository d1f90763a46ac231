"""Write the JSON Schemas of the commands, docs/schemas/*.json, from what every case of tests/cli/cases.py prints.

    python scripts/schemas.py

What a key means stands in MEANING; a key without a meaning is an error.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.cli.cases import CASES, commands, files, run  # noqa: E402

OPEN = {
    "stats", "decisions", "roles", "activity_by", "unreadable", "manifest", "pairs_that_meet", "certificate", "estimate", "by",
    "fingerprints", "rows", "undecided_rows", "gates", "bytes", "cost",
}  # fmt: skip
"""Objects whose keys are data."""
REAL = {"anyOf": [{"type": "number"}, {"type": "string"}, {"type": "null"}]}
MEANING: dict[str, str] = json.loads((ROOT / "docs" / "schemas" / "meaning.json").read_text())


def infer(value: Any, key: str = "") -> dict[str, Any]:
    """A schema of one value."""
    if value is None:
        return {"type": "null"}
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, int):
        return {"type": "integer"}
    if isinstance(value, float) or value in ("inf", "-inf"):
        return REAL
    if isinstance(value, str):
        return {"type": "string"}
    if isinstance(value, list):
        items: dict[str, Any] = {}
        for inner in value:
            items = merged(items, infer(inner))
        return {"type": "array", "items": items} if items else {"type": "array"}
    if key in OPEN:
        return {"type": "object"}
    return {
        "type": "object",
        "properties": {k: infer(v, k) for k, v in value.items()},
        "required": sorted(value),
    }


def merged(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """A schema that allows what either allows."""
    if not a or a == b:
        return b
    if not b:
        return a
    if REAL in (a, b) and all(s is REAL or s == REAL or s.get("type") in ("integer", "null") for s in (a, b)):
        return REAL
    if a.get("type") == b.get("type") == "array":
        items = merged(a.get("items", {}), b.get("items", {}))
        return {"type": "array", "items": items} if items else {"type": "array"}
    if a.get("type") == b.get("type") == "object" and "properties" in a and "properties" in b:
        names = {**a["properties"], **b["properties"]}
        return {
            "type": "object",
            "properties": {n: merged(a["properties"].get(n, {}), b["properties"].get(n, {})) for n in names},
            "required": sorted(set(a["required"]) & set(b["required"])),
        }
    options = [s for x in (a, b) for s in x.get("anyOf", [x])]
    kinds: dict[str, dict[str, Any]] = {}
    for s in options:
        kinds[s["type"]] = merged(kinds.get(s["type"], {}), s)
    return {"anyOf": list(kinds.values())}


def main() -> None:
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as name:
        places = files(Path(name))
        for i, case in enumerate(CASES):
            if case.json:
                code, out, err = run(f"{case.argv} --json -q", {**places, "new": f"{name}/new{i}"})
                if not out:
                    raise SystemExit(f"{case.argv}: exit {code}: {err}")
                found[case.command] = merged(found.get(case.command, {}), infer(json.loads(out)))
    unknown: set[str] = set()
    for command, parsed in commands():
        if command not in found:
            continue  # prints a format of its own
        schema = found[command]
        for key, inner in list(schema["properties"].items()):
            if key not in MEANING:
                unknown.add(key)
            schema["properties"][key] = {"description": MEANING.get(key, ""), **inner}
        text = " ".join((parsed.help or "").split("\n\n")[0].split())
        document = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": f"polyfiber {command} --json",
            "description": text,
            **schema,
        }
        target = ROOT / "docs" / "schemas" / f"{command.replace(' ', '-')}.json"
        target.write_text(json.dumps(document, indent=1) + "\n")
    if unknown:
        raise SystemExit(f"no meaning in docs/schemas/meaning.json for: {', '.join(sorted(unknown))}")


if __name__ == "__main__":
    main()
