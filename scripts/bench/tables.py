"""How fast tables are written: regions of one network, labels and pairs of many networks.

    python scripts/bench/tables.py [--neurons 130] [--networks 2000] [--json FILE]

  regions     networks (3, N/2, N/2, 1): the complex built, its regions written to Parquet by one process. *maps*: sign
              vector, boundedness, affine map. *polytopes*: inequalities, vertices, rays and volumes too
  labels      label_fibers and the rows of the table fibers, (8, 8, 6, 2), per network
  pairs       the rows of the table pairs, one pair for each of these networks

CPU time of this process after a warm-up on a small network, so without compilation and imports; peak memory of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import polyfiber as pf  # noqa: E402
from polyfiber.datasets.storage.store import TableWriter  # noqa: E402
from polyfiber.datasets.tables import Item, table  # noqa: E402

LEAN = {"inequalities": False, "vertices": False, "volumes": False}


def item_of(network: pf.ReLUNetwork, index: int = 0) -> Item:
    return Item(id=index, source="bench", kind="random", index=index, network=network, entropy=1, key=(0, index))


def write(name: str, items: list[Item], options: dict[str, Any], group: int | None = None) -> int:
    """Rows of a table to a file, as a partition does it; returns how many."""
    kind = table(name)
    checked = kind.check_options(options, "")
    rows = 0
    with tempfile.TemporaryDirectory() as folder:
        writer = TableWriter(Path(folder) / "part.parquet", kind.schema(checked), metadata={}, row_group=65536)
        step = group or kind.group
        for start in range(0, len(items), step):
            for batch in kind.rows(items[start : start + step], checked):
                writer.write(batch)
                rows += len(batch)
        writer.close()
    return rows


def timed(call: Callable[[], int]) -> tuple[int, float]:
    start = time.process_time()
    count = call()
    return count, time.process_time() - start


def regions(neurons: int) -> list[tuple[str, str, float, str]]:
    small = pf.ReLUNetwork.random((3, 6, 6, 1), rng=0)
    net = pf.ReLUNetwork.random((3, neurons // 2, neurons // 2, 1), rng=0)
    rows = []
    for what, options in (("regions, maps", LEAN), ("regions, polytopes", {})):
        write("cells", [item_of(small)], options)
        count, seconds = timed(lambda options=options: write("cells", [item_of(net)], options))
        rows.append((what, f"{'-'.join(map(str, net.architecture))}, {count} regions", count / seconds, "regions/s"))
    return rows


def networks(count: int) -> list[tuple[str, str, float, str]]:
    batch = pf.NetworkBatch.random((8, 8, 6, 2), count, rng=0)
    items = [item_of(net, i) for i, net in enumerate(batch)]
    rows = []
    for name, options in (("fibers", {}), ("pairs", {}), ("pairs", {"kinds": ["equal: permute and rescale"]})):
        write(name, items[:64], options)
        made, seconds = timed(lambda name=name, options=options: write(name, items, options))
        what = f"{name}, " + ("labels" if name == "fibers" else "one kind" if options else "kinds in turn")
        rows.append((what, f"8-8-6-2, {made} rows", 1e3 * seconds / made, "ms/row"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--neurons", type=int, default=130)
    parser.add_argument("--networks", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = [*regions(options.neurons), *networks(options.networks)]
    rows.append(("peak memory", "", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, "MB"))
    print(f"{'what':24} {'on':34} {'value':>14}")
    for what, on, value, unit in rows:
        print(f"{what:24} {on:34} {value:14,.4g} {unit}")
    if options.json:
        machine = {"platform": platform.platform(), "python": platform.python_version(), "numpy": np.__version__}
        options.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
