"""Write ``docs/tables.md`` from the tables themselves: columns with types and units, options with defaults.

python scripts/tables_doc.py [--check]
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from polyfiber.datasets.tables import NAMES, table  # noqa: E402

HEAD = """# Tables of datasets

Which columns has a table, in which units? Columns, units and options of every table, written by
`python scripts/tables_doc.py`; a test keeps it so. How to make datasets: [datasets](datasets.md).

Types are Arrow types. A list column has a fixed type of entries; points and matrices are flat, one row after another.
Unit `1` is a pure number, `id` a number of something, `input` and `output` the units of the network's inputs and
outputs. *With* names the option that a column depends on.
"""


def describe(name: str) -> str:
    """Markdown of one table."""
    found = table(name)
    lines = [
        f"\n## {name}\n",
        f"{textwrap.fill(found.doc, 120)}\n",
        "| column | type | unit | with | |",
        "|---|---|---|---|---|",
    ]
    for c in found.columns:
        kind = f"`{c.type}`" + (" or null" if c.nullable else "")
        doc = c.doc.replace("|", "\\|")
        lines.append(f"| `{c.name}` | {kind} | {c.unit} | {f'`{c.option}`' if c.option else ''} | {doc} |")
    if found.options:
        lines += ["", "| option | default | |", "|---|---|---|"]
        for o in found.options:
            default = str(o.default).lower() if isinstance(o.default, bool) else o.default
            if isinstance(default, tuple):
                default = f"{len(default)} of them" if len(default) > 4 else list(default)
            lines.append(f"| `{o.name}` | {default} | {o.doc} |")
    return "\n".join(lines) + "\n"


def document() -> str:
    """The whole page."""
    return HEAD + "".join(describe(name) for name in NAMES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="Only say whether the page is current.")
    options = parser.parse_args()
    page = ROOT / "docs" / "tables.md"
    if options.check:
        sys.exit(0 if page.read_text(encoding="utf-8") == document() else 1)
    page.write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    main()
