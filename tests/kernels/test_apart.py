"""A worker compiles nothing itself: what it lacks is on the disk when it loads it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import multiprocessing, sys
import numpy as np
from numba.core import event
from polyfiber.kernels import apart
from polyfiber.kernels.rows import pack_signs

class Heard(event.Listener):
    names = []
    def on_start(self, event):
        self.names.append(event.data["dispatcher"].py_func.__name__)
    def on_end(self, event):
        pass

if __name__ == "__main__":
    event.register("numba:compile", Heard())
    if "broken" in sys.argv:
        apart._question = lambda cache, types: ("no.such.module", "f", b"")
    signs = np.array([[1, 0, -1], [-1, -1, 1]], dtype=np.int8)
    out = np.zeros((2, 1), dtype=np.uint64)
    with apart.compiled_apart():
        pack_signs(signs, out)
    expected = np.zeros((2, 1), dtype=np.uint64)
    pack_signs.py_func(signs, expected)
    assert np.array_equal(out, expected) and out.any()
    print(Heard.names[:1], apart.fork_is_safe())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked on Linux")
@pytest.mark.parametrize(("how", "said"), [("whole", "[] True"), ("broken", "['pack_signs'] True")])
def test_code_that_is_on_no_disk_is_compiled_by_a_child(tmp_path: Path, how: str, said: str) -> None:
    """Where the child fails, the process compiles for itself."""
    (tmp_path / "program.py").write_text(PROGRAM)
    place = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path / "code"), "OMP_NUM_THREADS": "1"}
    place.pop("NUMBA_DISABLE_JIT", None)
    command = [sys.executable, str(tmp_path / "program.py"), how]
    found = subprocess.run(command, env=place, capture_output=True, text=True, timeout=300, check=False)
    assert (found.stdout.strip(), found.returncode) == (said, 0), found.stderr
    assert len(list((tmp_path / "code").rglob("rows.pack_signs*.nbc"))) == 1
