"""Write tests/golden/degenerate.json: what is true of each network of the degenerate corpus.

The truth comes from tests/oracles/exact_faces.py (rational brute force), never from the library's
engines. Run from the root of a checkout: python -m tests.golden.make_degenerate
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from polyfiber.testing import Case, degenerate_corpus
from tests.oracles.exact_faces import ExactComplex, exact_complex

PATH = Path(__file__).with_name("degenerate.json")


def digest(signs: Any) -> str:
    """Order-independent digest of a set of sign vectors."""
    rows = sorted("".join("-0+"[s + 1] for s in row) for row in signs)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def truth(case: Case) -> dict[str, Any]:
    cx: ExactComplex = exact_complex(case.network.weights, case.network.biases, domain=case.domain)
    top = max(face.dim for face in cx.faces.values())  # a flat domain is treated in its own dimension
    return {
        "architecture": list(case.network.architecture),
        "lineality_dimension": cx.lineality_dimension,
        "f_vector": list(cx.f_vector[: top + 1]),
        "signs": [digest(cx.signs(k)) for k in range(top + 1)],
    }


def main() -> None:
    table = {case.name: truth(case) for case in degenerate_corpus()}
    lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in table.items()]
    PATH.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{len(table)} networks -> {PATH.name}")


if __name__ == "__main__":
    main()
