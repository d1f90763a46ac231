"""Write bures_wasserstein.json with geomstats, an independent implementation.

geomstats 2.8 needs numpy < 2.4: run this in an environment of its own, with ``pip install geomstats "numpy<2.3"``.
"""

from __future__ import annotations

import json
from pathlib import Path

import geomstats
import numpy as np
from geomstats.geometry.spd_matrices import SPDBuresWassersteinMetric, SPDMatrices


def main() -> None:
    rng = np.random.default_rng(2024)
    cases = []
    for spectrum_a, spectrum_b in [
        ([2.0, 0.5], [1.0, 0.3]),
        ([1.0, 1.0], [2.0, 1.9999]),
        ([3.0, 1.0, 0.2], [1.0, 0.9, 0.4]),
        ([1.0, 1e-2, 1e-3], [1.0, 0.5, 1e-2]),
        ([1.0, 1.0 - 1e-6, 0.5, 0.25, 0.1], [2.0, 1.0, 0.7, 0.3, 0.2]),
    ]:
        d = len(spectrum_a)
        q, r = (np.linalg.qr(m)[0] for m in rng.standard_normal((2, d, d)))
        a, b = (q * spectrum_a) @ q.T, (r * spectrum_b) @ r.T
        a, b = 0.5 * (a + a.T), 0.5 * (b + b.T)
        z, y = (m + m.T for m in rng.standard_normal((2, d, d)))
        metric = SPDBuresWassersteinMetric(SPDMatrices(d, equip=False))
        cases.append(
            {
                "A": a.tolist(),
                "B": b.tolist(),
                "Z": z.tolist(),
                "Y": y.tolist(),
                "inner": float(metric.inner_product(z, y, a)),
                "squared_distance": float(metric.squared_dist(a, b)),
                "log": metric.log(b, a).tolist(),
            }
        )
    record = {"program": f"geomstats {geomstats.__version__}", "script": Path(__file__).name, "cases": cases}
    target = Path(__file__).resolve().parent / "bures_wasserstein.json"
    target.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
