"""How worker processes start, what they keep from the one that started them, and that they end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import polyfiber as pf
from polyfiber import processes
from polyfiber.errors import InputError

ROOT = Path(__file__).parents[1]
LINUX = sys.platform.startswith("linux")
METHODS = ["fork", "spawn"] if LINUX else ["spawn"]
linux_only = pytest.mark.skipif(not LINUX, reason="fork")


def facts(pipe: Any, number: int) -> None:
    blas = [get() for get, _ in processes._blas_controls()]
    held = pipe.recv()
    link = os.readlink(f"/proc/self/fd/{held}") if held is not None and LINUX else ""
    pipe.send((number, os.getpid(), signal.getsignal(signal.SIGINT) is signal.SIG_IGN, blas, link))


@pytest.mark.parametrize("method", METHODS)
def test_a_child_works_alone(method: str, tmp_path: Path) -> None:
    before = [get() for get, _ in processes._blas_controls()]
    with (tmp_path / "file").open("w") as stream:
        process, pipe = processes.start(facts, 7, method=method)
        pipe.send(stream.fileno() if method == "fork" else None)
        assert pipe.poll(60)
        number, pid, deaf, blas, link = pipe.recv()
    process.join(10)
    assert (number, pid, process.exitcode) == (7, process.pid, 0)
    assert deaf
    assert set(blas) <= {1}
    if method == "fork":
        assert link == os.devnull  # nothing that was open here stays open there
    assert [get() for get, _ in processes._blas_controls()] == before
    pipe.close()


@pytest.mark.skipif(sys.platform == "win32", reason="file descriptors")
def test_files_that_were_closed_since_they_were_listed() -> None:
    held, closed = os.dup(0), [os.dup(0) for _ in range(3)]
    for fd in closed:
        os.close(fd)
    files = (*closed, held)
    try:
        processes._let_go(files)  # opens the lowest free number, one of those closed
        for fd in files:
            assert os.path.samestat(os.fstat(fd), os.stat(os.devnull))
    finally:
        for fd in files:
            os.close(fd)


def test_which_way() -> None:
    assert processes.start_method("spawn") == "spawn"
    with pytest.raises(InputError, match="'forkserver'"):
        processes.start_method("forkserver")
    with pytest.raises(InputError, match="'spawn'"):
        pf.count_blocks(pf.ReLUNetwork.random((3, 24, 24, 1), rng=0), workers=2, start_method="thread")
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert not processes.fork_is_safe()
        assert processes.start_method() == "spawn"
    finally:
        done.set()
        thread.join()


@linux_only
def test_fork_is_taken_in_a_plain_program() -> None:
    code = "from polyfiber.processes import start_method; import polyfiber as pf; pf.face_counts(pf.ReLUNetwork.random((2, 6, 1), rng=0)); print(start_method())"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "fork"


@linux_only
def test_one_blas_thread_is_undone() -> None:
    import numpy as np

    assert np.linalg.det(np.eye(2)) == 1.0  # loads it
    controls = processes._blas_controls()
    before = [get() for get, _ in controls]
    with processes.one_blas_thread():
        assert all(get() == 1 for get, _ in controls)
    assert [get() for get, _ in controls] == before


PARENT = """
import sys, time
from polyfiber import processes
from tests.test_processes import idle
if __name__ == "__main__":
    process, pipe = processes.start(idle, method=sys.argv[1])
    pipe.recv()
    print(process.pid, flush=True)
    time.sleep(60)
"""


def idle(pipe: Any) -> None:
    pipe.send("here")
    time.sleep(60)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("method", METHODS)
def test_children_die_with_the_parent(method: str, tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, str(script), method], stdout=subprocess.PIPE, text=True, env=environment)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 30
    while time.monotonic() < until and alive(child):
        time.sleep(0.01)
    assert not alive(child)


def alive(pid: int) -> bool:
    """Whether a process still runs; one that ended and was not waited for does not."""
    try:
        os.kill(pid, 0)
        return not LINUX or Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("file_format", ["npz", "parquet", "zarr"])
def test_parts_do_not_depend_on_the_start(method: str, file_format: str, tmp_path: Path) -> None:
    pytest.importorskip({"parquet": "pyarrow", "zarr": "zarr"}.get(file_format, "numpy"))
    net = pf.ReLUNetwork.random((3, 36, 36, 1), rng=4)
    if file_format != "zarr":  # whose threads, once started here, would be left behind by fork
        pf.write_cells(net, tmp_path / "one", file_format=file_format)
        one = pf.read_cells(tmp_path / "one").total()
    else:
        one = pf.count_blocks(net, fingerprints=[3])
    two = pf.write_cells(net, tmp_path / "two", file_format=file_format, workers=2, start_method=method)
    assert (two.f_vector, two.fingerprints) == (one.f_vector, one.fingerprints)
    assert len(two.blocks) > 4
    assert pf.read_cells(tmp_path / "two").check() == []
