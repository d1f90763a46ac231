"""However a command ends: the exit code says how, and nobody sees a trace."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from polyfiber.cli import app as command_line
from polyfiber.cli.app import main
from polyfiber.cli.exits import FAULT, INTERRUPTED, NO_READER
from polyfiber.errors import BudgetExceededError, InputError

DATA = Path(__file__).resolve().parents[2] / "data"
POSIX = pytest.mark.skipif(os.name != "posix", reason="file descriptors and signals")


def ends(*argv: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in argv])
    return int(stop.value.code or 0)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("two\nlines"), 4, "polyfiber: two lines\n"),
        (BudgetExceededError("spent"), 3, "polyfiber: spent\n"),
        (
            OSError(28, "No space left on device"),
            4,
            "polyfiber: the output could not be written: No space left on device\n",
        ),
        (MemoryError(), 3, "polyfiber: out of memory: an allocation failed; --memory sets a limit beforehand\n"),
        (KeyboardInterrupt(), INTERRUPTED, "polyfiber: interrupted\n"),
        (BrokenPipeError(32, "Broken pipe"), NO_READER, ""),
        (ZeroDivisionError("oh"), FAULT, "polyfiber: internal error: ZeroDivisionError: oh; polyfiber --debug … shows"),
    ],
)
def test_whatever_is_raised(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, line: str
) -> None:
    def fail(**_: Any) -> None:
        raise error

    monkeypatch.setattr(command_line, "app", fail)
    assert ends() == code
    assert capsys.readouterr().err.startswith(line)


def test_an_interrupt_that_became_another_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """numba swallows a Ctrl-C in a callback of LLVM and fails later: still an interrupt."""

    def fail(**_: Any) -> None:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise RuntimeError("no compiled object yet")

    monkeypatch.setattr(command_line, "app", fail)
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert ends() == INTERRUPTED
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_closed_streams_and_narrow_encodings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert ends("info", DATA / "iris.onnx") == 0
    for stream in (sys.stdout, sys.stderr):
        stream.close()
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", narrow)
    monkeypatch.setattr(sys, "stderr", narrow)
    assert ends("info", DATA / "wine_three.npz", "--pilots", "4") == 0
    assert rb"\xb1" in narrow.buffer.getvalue()  # type: ignore[attr-defined]


@POSIX
def test_a_reader_that_goes_away_and_a_full_disk() -> None:
    command = [sys.executable, "-m", "polyfiber", "info", "-q", str(DATA / "iris.onnx")]
    reading, writing = os.pipe()
    os.close(reading)
    gone = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (gone.returncode, gone.stderr) == (NO_READER, "")
    if Path("/dev/full").exists():
        with open("/dev/full", "w") as full:
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 4
        assert done.stderr.startswith("polyfiber: ")
        assert done.stderr.count("\n") == 1


@POSIX
def test_names_that_are_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/w\xff.onnx"))
    try:
        path.write_bytes((DATA / "wine_three.onnx").read_bytes())
    except OSError:
        pytest.skip("the file system wants UTF-8")
    assert ends("info", path) == 0
    assert "3-16-16-3" in capsys.readouterr().out
    assert ends("complex", path, "-q", "--save", path.with_suffix(".npz")) == 0
    assert path.with_suffix(".npz").exists()
    assert ends("info", path.with_name("absent\udcff")) == 4


def test_compilation_is_said_once_and_at_once(tmp_path) -> None:
    """A first run is not silent: standard error says that kernels are compiled, before the answer."""
    import os
    import subprocess
    import sys
    from pathlib import Path

    file = Path(__file__).parents[2] / "data" / "iris_petals.npz"
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    argv = [sys.executable, "-m", "polyfiber", "segment", str(file), "--from", "0,0", "--to", "1,1"]
    done = subprocess.run(argv, capture_output=True, text=True, env=env, timeout=280)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("compiling, once") == 1


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        ("complex {net} --memory foo", 2),
        ("complex {net} --seconds -1", 2),
        ("complex {net} --seconds nan", 2),
        ("complex {net} --box 0,1 --domain 0,2", 2),
        ("complex {net} --domain 0,1 --domain 0,2", 2),
        ("complex {absent} --memory foo", 2),
        ("levelset {absent} --value x", 2),
        ("equiv {net} {net} --epsilon nan --domain 0,1", 2),
        ("slice {net} --scale inf --between a b", 2),
        ("slice {net} --axes 0,0", 2),
        ("slice {net} --axes=-1,0", 2),
        ("slice {net} --axes 0,7", 4),
        ("slice {net} --along 1;2;3;4", 2),
        ("slice {net} --axes 0 --plot a.png", 2),
        ("slice {net} --domain all --plot a.png", 2),
        ("bounds {net}", 2),
        ("bounds {net} --domain all", 2),
        ("bounds {net} --domain 0,1,0,1,0,1", 4),
        ("region {net} --at a,b", 2),
        ("region {net} --at 1,2,3", 4),
        ("strata 4", 2),
        ("strata 4,0", 2),
        ("strata 2,2 --rank 3", 2),
        ("stratum {net} --gap 0", 2),
        ("critical 2,2 --values 3,2,1", 2),
        ("verify {net} --row complexes", 2),
        ("verify {net} --row complexes:1", 4),
        ("verify {absent}", 4),
        ("classify {absent} --sign-error -1", 2),
        ("segment {absent} --from 0 --to 0", 2),
        ("complex {absent} --save a.txt", 2),
        ("complex {absent} --plot a.xyz", 2),
        ("levelset {absent} --save a.txt", 2),
        ("minimize {absent} -o a.txt", 2),
        ("classify {absent} --sample a.txt", 2),
        ("report {absent} -o a.txt", 2),
    ],
)
def test_texts_are_usage_and_files_are_input(argv: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """One rule: 2 for what is wrong whatever the files hold, 4 for what only a file can tell."""
    files = {"net": DATA / "iris_petals.onnx", "absent": DATA / "absent.onnx"}
    assert ends(*(word.format(**files) for word in argv.split())) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err


@pytest.mark.parametrize(
    ("argv", "option"),
    [
        ("complex {net} --seconds 0", "--seconds"),
        ("complex {net} --memory 1000", "--memory"),
        ("complex {net} --count --seconds 0", "--seconds"),
        ("levelset {net} --seconds 0", "--seconds"),
        ("boundary {net} --memory 1000", "--memory"),
        ("slice {wide} --seconds 0", "--seconds"),
        ("classify {wide} --local --seconds 0", None),
        ("strata 4,4,4,4 --seconds 0", "--seconds"),
        ("report {net} -o {new} --seconds 0", None),
        ("explore {net} --seconds 0", None),
        ("minimize {net} --seconds 0", None),
        ("classify {net} --seconds 0", None),
        ("equiv {net} {leaky} --seconds 0", None),
        ("dedupe {folder} --seconds 0", None),
    ],
)
def test_a_budget_that_ends_is_an_answer(
    argv: str, option: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One document, or text that begins with a sentence: never an empty output. No option: the command has a better answer."""
    folder = tmp_path / "networks"
    folder.mkdir()
    for name in ("iris_petals.onnx", "iris_petals_leaky.onnx"):
        (folder / name).write_bytes((DATA / name).read_bytes())
    files = {
        "net": DATA / "iris_petals.onnx", "leaky": DATA / "iris_petals_leaky.onnx", "wide": DATA / "wine_three.onnx",
        "folder": folder, "new": tmp_path / "page.html",
    }  # fmt: skip
    words = [word.format(**files) for word in argv.split()]
    code = ends(*words, "--json", "-q")
    document = json.loads(capsys.readouterr().out)
    assert document["answer"].endswith(".")
    if option is not None:
        assert code == 3
        assert document["stopped"]["option"] == option
        assert document["answer"].endswith(f"To go on, give it more {option}.")
    assert ends(*words, "-q") == code
    assert re.match(r"[A-Z/n].*[.]$", capsys.readouterr().out.splitlines()[0])


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("levelset {net} --side left", "'left' is not one of 'level', 'below', 'above'."),
        ("levelset {net} --output x", "expected a whole number"),
        ("explore {net} --regions 0", "expected a number >= 1"),
        ("complex {net} --seconds x", "expected a number"),
    ],
)
def test_what_is_wrong_with_an_option_is_said_in_plain_words(
    argv: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(*argv.format(net=DATA / "iris_petals.onnx").split()) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "Value error" not in last
    assert "Input should" not in last
    assert said in last or "is not" in last  # older releases of the parser have their own plain words


def test_a_file_is_named_as_it_was_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends("info", tmp_path / "absent.npz") == 4
    assert str(tmp_path / "absent.npz") in capsys.readouterr().err


def test_what_nobody_can_compute_is_said_once_with_what_to_ask_instead(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends("complex", DATA / "digits_cnn.onnx", "-q") == 3
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "single regions or slices" in printed.out
    assert "To go on" not in printed.out
    assert ends("classify", DATA / "digits_cnn.onnx", "-q") == 3
    assert "Next: --domain" in capsys.readouterr().out
    assert ends("region", DATA / "digits_cnn.onnx", "--seconds", "0", "-q") == 3
    assert capsys.readouterr().out.startswith("Not finished")
