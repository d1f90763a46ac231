"""Rewrite each column of each table of a dataset, in many ways: does the check of its table notice?

    python scripts/attacks/files/columns.py [--specs relu,sets,linear,langevin,blocks] [--tables cells,…] [--sealed 20] [--seed 0]

The datasets and the lies are those of ``tests/datasets/tables/test_falsified.py``: every row or one, first entries or all, zero,
twice, huge, the first row's value everywhere, moved by a row, backwards, cut, doubled. A lie is told in up to three networks
and must be noticed in one; what is untouched must not be complained about. ``--sealed`` lies are also written into the Parquet
file, with record, manifest and checksums made to agree, and must be found by `validate`, rows dropped and doubled among them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[3]))

from polyfiber.datasets import finish, run, validate
from polyfiber.datasets.storage.documents import json_bytes
from polyfiber.datasets.storage.store import sealed
from polyfiber.datasets.tables import NAMES, table
from tests.datasets.tables.test_falsified import SPECS, WAYS, lies_told


def rewritten(source: Path, target: Path, name: str, change: Any) -> bool:
    """A copy of a dataset with the rows of a partition changed and everything signed again; whether anything changed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    path = sorted((target / name).iterdir())[0]
    with pq.ParquetFile(path) as file:
        schema, rows = file.schema_arrow, file.read().to_pylist()
    changed = change([dict(row) for row in rows])
    if repr(changed) == repr(rows):
        return False
    pq.write_table(pa.Table.from_pylist(changed, schema=schema), path, compression="zstd", version="2.6")
    record = target / "records" / path.with_suffix(".json").name
    facts = json.loads(record.read_text())
    data = path.read_bytes()
    facts["tables"][name] = {"rows": len(changed), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    record.write_bytes(json_bytes(sealed(facts)))
    (target / ".checked").unlink(missing_ok=True)
    finish(target)
    return True


def sealed_lies(rng: np.random.Generator, which: str, folder: Path, count: int) -> tuple[int, list[str]]:
    """Lies behind checksums that agree."""
    told, missed = 0, []
    names = [n for n in NAMES if n in SPECS[which]["tables"]]
    while told < count:
        name = str(rng.choice(names))
        found = table(name)
        columns = [
            c
            for c in found.columns_for(found.check_options(SPECS[which]["tables"][name], ""))
            if c.name not in found.provenance
        ]
        column, way = (
            str(rng.choice([c.name for c in columns[1:]])),
            str(rng.choice([*WAYS, "rows dropped", "rows doubled"])),
        )

        def change(rows: list[Any], column: str = column, way: str = way) -> list[Any]:
            if way == "rows dropped":
                return rows[: len(rows) // 2]
            if way == "rows doubled":
                return sorted(rows + rows, key=lambda r: r["network"])
            return [{**r, column: v} for r, v in zip(rows, WAYS[way]([r[column] for r in rows]))]

        try:
            if not rewritten(folder, folder.parent / "lie", name, change):
                continue
            said = validate(folder.parent / "lie", rows=10_000, rng=0).problems
        except Exception as error:  # refused before it could be signed: a value that the column does not take
            said = (f"{type(error).__name__}: {error}",)
        told += 1
        if not said:
            missed.append(f"{which}, {name}.{column}: {way}, signed again")
    return told, missed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--specs", default=",".join(SPECS))
    parser.add_argument("--tables", default=",".join(NAMES))
    parser.add_argument("--sealed", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, wrong = np.random.default_rng(options.seed), []
    for which in options.specs.split(","):
        with tempfile.TemporaryDirectory() as top:
            folder, started = Path(top) / "data", time.process_time()
            assert run(SPECS[which], folder, workers=0).complete
            for name in options.tables.split(","):
                told, missed = lies_told(which, folder, (name,))
                if told:
                    print(f"{which} {name}: {told} lies, {len(missed)} missed {missed}", flush=True)
                wrong += missed
            told, missed = sealed_lies(rng, which, folder, options.sealed)
            print(
                f"{which}: {told} signed again, {len(missed)} missed {missed}; {time.process_time() - started:.0f} s",
                flush=True,
            )
            wrong += missed
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
