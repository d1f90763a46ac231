"""relucent on the points of large.py: median CPU seconds of a region with its irredundant facets, as JSON.

python large.py TASK.npz SECONDS
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import time
from typing import Any

import numpy as np


def main() -> None:
    limit = float(sys.argv[2])
    with contextlib.redirect_stdout(sys.stderr):
        from relucent import Complex, config

        config.update_settings(VERBOSE=0)
        with np.load(sys.argv[1]) as data:
            X = data["X"]
            count = sum(name.startswith("W") for name in data.files)
            model: list[Any] = [(data[f"W{i}"], data[f"b{i}"]) for i in range(count)]
        cx = Complex(model)
        times, facets = [], []
        begun = time.process_time()
        for i, x in enumerate(X):
            start = time.process_time()
            found = len(cx.point2poly(x[None, :], check_exists=False).shis)
            if i:  # the first call warms up
                times.append(time.process_time() - start)
            facets.append(found)
            if time.process_time() - begun > limit and len(times) >= 3:
                break
    print(json.dumps({"median": statistics.median(times), "points": len(facets), "facets": facets}))


if __name__ == "__main__":
    main()
