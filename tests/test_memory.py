"""What limits memory: the machine, control groups of both versions, the limits of the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from polyfiber import memory
from polyfiber.budget import Budget, Monitor
from polyfiber.errors import BudgetExceededError, InputError


def test_amounts() -> None:
    assert memory.parse_bytes("1.5kB") == 1500
    for text in ("", "1 parsec", "1.2.3", "-1", 0, float("inf"), float("nan")):
        with pytest.raises(InputError):
            memory.parse_bytes(text)


def folder(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_groups_of_version_two_and_their_parents(tmp_path: Path) -> None:
    """The tightest of a group and those around it; files in the cache can be had back."""
    files = {
        "proc/self/cgroup": "0::/job/step\n",
        "sys/job/memory.max": "1000000\n",
        "sys/job/memory.current": "400000\n",
        "sys/job/memory.stat": "anon 1\ninactive_file 100000\n",
        "sys/job/step/memory.max": "max\n",
        "sys/job/step/memory.current": "5\n",
    }
    root = folder(tmp_path, files)
    assert memory.group_memory(root / "proc", root / "sys") == 700000


def test_groups_of_version_one(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "5:devices:/\n4:memory:/outside/name\n0::/\n",
        "sys/memory/memory.limit_in_bytes": "500\n",  # in a container the mount itself is the group
        "sys/memory/memory.usage_in_bytes": "200\n",
        "sys/memory/memory.stat": "total_inactive_file 50\n",
    }
    root = folder(tmp_path, files)
    assert memory.group_memory(root / "proc", root / "sys") == 350


def test_no_limit_and_no_groups(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "4:memory:/\nrubbish\n",
        "sys/memory/memory.limit_in_bytes": str((1 << 63) - 4096),
        "sys/memory/memory.usage_in_bytes": "200",
    }
    root = folder(tmp_path, files)
    assert memory.group_memory(root / "proc", root / "sys") is None
    assert memory.group_memory(tmp_path / "absent", tmp_path) is None


def test_a_limit_on_the_address_space_is_seen() -> None:
    """And refused before the allocation, with the numbers as attributes."""
    pytest.importorskip("resource")
    code = """
import resource
from polyfiber.memory import available_memory, process_memory
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (1 << 28), resource.RLIM_INFINITY))
assert 0 < available_memory() <= process_memory() + (1 << 20) <= (1 << 28) + (1 << 20)
import polyfiber as pf
from polyfiber.budget import Monitor
try:
    Monitor(pf.Budget(memory="1000GB")).check_memory(1 << 29, "a table")
except pf.errors.BudgetExceededError as error:
    assert error.needed == 1 << 29 and error.memory < 1 << 28, error.facts
    print("refused")
"""
    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.stdout == "refused\n", done.stderr


def test_the_less_of_budget_and_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyfiber.budget.available_memory", lambda: 1000)
    assert Monitor().memory_limit == 900
    assert Monitor(Budget(memory=100)).memory_limit == 100
    assert Monitor(Budget(memory=10**6)).memory_limit == 900
    with pytest.raises(BudgetExceededError, match="can still have"):
        Monitor(Budget(memory=10**6)).check_memory(5000, "a table")
    monkeypatch.setattr("polyfiber.budget.available_memory", lambda: None)
    assert Monitor().memory_limit is None
