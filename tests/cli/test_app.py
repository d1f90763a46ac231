"""The command line on real files: answers, exit codes, and no traces."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from polyfiber.cli.app import main

DATA = Path(__file__).resolve().parent.parent.parent / "data"


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    try:
        main([str(a) for a in argv])
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    out = capsys.readouterr()
    return code, out.out, out.err


@pytest.mark.parametrize(
    "options",
    [
        ("--dims", "0"), ("--format", "zarr"), ("--maps",), ("--vertices",), ("--resume",), ("--workers", "2"),
        ("--count", "--verify"), ("--count", "--save", "c.npz"), ("--stream", "s", "--plot", "c.png"),
        ("--stream", "s", "--count"),
    ],
)  # fmt: skip
def test_options_without_effect_are_refused(capsys, options) -> None:
    code, out, err = run(capsys, "complex", DATA / "iris_petals.npz", *options)
    assert (code, out) == (2, "")
    assert "goes only with" in err or "cannot be used with" in err


def test_bad_input_is_one_line_and_exit_code_4(capsys, tmp_path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a network")
    for argv in (
        ("complex", broken),
        ("complex", tmp_path / "absent.npz"),
        ("info", tmp_path),
        ("complex", DATA / "iris.npz", "--box=1,2,3,4"),
    ):
        code, out, err = run(capsys, *argv)
        assert code == 4, argv
        assert out == ""
        assert err.startswith("polyfiber: ")
        assert err.count("\n") == 1


def test_budgets_are_exit_code_3_and_usage_is_2(capsys) -> None:
    assert run(capsys, "complex", DATA / "digits_bottleneck.npz", "--memory", "1MB")[0] == 3
    assert run(capsys, "complex", DATA / "iris.npz", "--seconds", "0")[0] == 3
    assert run(capsys, "complex")[0] == 2
    assert run(capsys, "complex", DATA / "iris.npz", "--nonsense")[0] == 2
    assert run(capsys, "complex", DATA / "iris.npz", "--box=1,2,3")[0] == 2
    assert run(capsys, "complex", DATA / "iris.npz", "--box=a,b")[0] == 2
    assert run(capsys, "complex", DATA / "iris.npz", "--box=1,-1")[0] == 2
    assert run(capsys, "complex", DATA / "iris.npz", "--memory", "lots")[0] == 2
    assert run(capsys, "--version")[0] == 0


class Terminal(io.StringIO):
    """Standard output that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("words", [["info", "iris.npz"], ["complex", "iris_petals.onnx", "--count"]])
def test_no_color(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`NO_COLOR` (any value but none, no-color.org) takes the colours away, and no words of the answer."""
    colour = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;\d+)*m")
    escapes = re.compile(r"\x1b\[[\d;]*m|\n[\d.]+ s$", re.MULTILINE)  # and the time it took
    told = {}
    for value in ("", "1"):
        with monkeypatch.context() as context:
            context.setenv("TERM", "xterm-256color")
            for name in ("FORCE_COLOR", "COLORTERM", "NO_COLOR", "CI", "GITHUB_ACTIONS", "PY_COLORS"):
                context.delenv(name, raising=False)
            if value:
                context.setenv("NO_COLOR", value)
            out, err = Terminal(), Terminal()
            context.setattr(sys, "stdout", out)
            context.setattr(sys, "stderr", err)
            with pytest.raises(SystemExit) as stop:
                main([words[0], str(DATA / words[1]), *words[2:]])
            assert not stop.value.code
        told[value] = out.getvalue()
        assert not value or not colour.search(out.getvalue() + err.getvalue())
    assert "\x1b[" in told[""]
    assert escapes.sub("", told[""]) == escapes.sub("", told["1"])


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals")
@pytest.mark.parametrize("words", [["demo"], ["info", "iris.npz"], ["--help"], ["strata", "9"]])
def test_a_terminal_that_knows_no_escapes_gets_none(words: list[str]) -> None:
    """``TERM=dumb`` in a process of its own, to the very end: what numba imports resets colours when it is left."""
    import pty

    near, far = pty.openpty()
    argv = [sys.executable, "-m", "polyfiber", *(str(DATA / w) if w.endswith(".npz") else w for w in words)]
    process = subprocess.Popen(argv, stdin=far, stdout=far, stderr=far, env={**os.environ, "TERM": "dumb"})
    os.close(far)
    said = b""
    with contextlib.suppress(OSError):  # how Linux says that the other end is closed
        while part := os.read(near, 1 << 16):
            said += part
    process.wait()
    os.close(near)
    assert len(said) > 100
    assert b"\x1b" not in said
