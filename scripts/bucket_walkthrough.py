"""Run the walkthrough "To a public bucket and back" of docs/datasets.md as it stands, in a fresh environment.

    python scripts/bucket_walkthrough.py [--count 20] [--keep FOLDER]

Its spec is the first one of the page, with fewer networks, its lines are those of the section; the package is installed
from this checkout instead of PyPI, and S3 is a server of moto on the loopback. Downloads packages and compiles all
kernels anew: a few minutes on an idle machine. Prints the seconds of each line, exits with the code of the one that failed.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def lines_of(page: str) -> list[str]:
    """Commands of the section."""
    section = page.split("## To a public bucket and back", 1)[1].split("\n## ", 1)[0]
    block = section.split("```console\n", 1)[1].split("```", 1)[0]
    return [line[2:] for line in block.splitlines() if line.startswith("$ ")]


def spec_of(page: str, count: int) -> str:
    """The first spec of the page, with so many networks instead of 200."""
    found = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert found is not None
    assert found[1].count("count = 200\n") == 1
    return found[1].replace("count = 200\n", f"count = {count}\n")


def server(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """A server of moto, from an environment of its own where the one of this script has none, and its address."""
    program = Path(sys.executable).parent / "moto_server"
    if not program.exists():
        program = folder / "moto/bin/moto_server"
        subprocess.run([sys.executable, "-m", "venv", str(folder / "moto")], check=True)
        subprocess.run([str(folder / "moto/bin/pip"), "install", "-q", "moto[server]"], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(program), "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process, f"http://127.0.0.1:{port}"
        time.sleep(0.1)
    raise SystemExit("the server of moto does not answer")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20, help="random networks; two more are made from each")
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it")
    options = parser.parse_args()
    page = (ROOT / "docs/datasets.md").read_text()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "SPEC.toml").write_text(spec_of(page, options.count))
        process, address = server(folder)
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
        kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        try:
            here = [line.replace("'polyfiber[cloud]'", shlex.quote(f"{ROOT}[cloud]")) for line in lines_of(page)]
            script = "set -e\n" + "\n".join(
                f'echo {shlex.quote("$ " + line)}\n{line}\necho "# after $SECONDS s"' for line in here
            )
            done = subprocess.run(["bash", "-c", script], cwd=folder, env={**kept, **keys, "AWS_ENDPOINT_URL": address})
        finally:
            process.terminate()
            process.wait()
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
