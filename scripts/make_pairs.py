"""Write a small sample of pairs of every kind of `polyfiber.datasets.pairs` to ``data/pairs``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from polyfiber.datasets.pairs import KINDS, Pair, hiding_network, make, sample

ROOT = Path(__file__).resolve().parent.parent
__all__ = ["KINDS", "Pair", "hiding_network", "make", "sample"]


def main() -> None:
    """Write a sample of every kind to ``data/pairs``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-kind", type=int, default=10)
    parser.add_argument("--top", type=int, default=5)
    parser.add_argument("--out", type=Path, default=ROOT / "data" / "pairs")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    index, arrays = [], {}
    for i, pair in enumerate(sample(options.per_kind, top=options.top)):
        for side, net in (("a", pair.a), ("b", pair.b)):
            flat = [part.ravel() for both in zip(net.weights, net.biases) for part in both]
            arrays[f"{i}{side}"] = np.concatenate(flat)
        index.append(
            {
                "kind": pair.kind, "equal": pair.equal, "exact": pair.exact, "size": pair.size,
                "a": list(pair.a.architecture), "b": list(pair.b.architecture),
                "box": None if pair.domain is None else [pair.domain.lo.tolist(), pair.domain.hi.tolist()],
            }
        )  # fmt: skip
    np.savez_compressed(options.out / "pairs.npz", **arrays)
    text = ",\n".join(json.dumps(entry) for entry in index)
    (options.out / "pairs.json").write_text(f"[\n{text}\n]\n")
    print(f"{len(index)} pairs in {options.out}")


if __name__ == "__main__":
    main()
