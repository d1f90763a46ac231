"""The commands strata and stratum: output, JSON, pictures, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.cli.app import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def test_strata_prints_the_table_and_the_dag(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "strata", "4,6,5", "--rank", "1", "-q")
    assert code == 0
    assert not err
    first, *lines = out.splitlines()
    assert "17 rank strata" in first
    assert lines[1].split("\t") == ["id", "r10", "r20", "r21", "dim in weights", "dim in fiber", "dof", "rdof"]
    assert len([x for x in lines[2:19] if x.count("\t") == 7]) == 17
    assert "16\t3\t1\t4\t43\t35\t35\t0" in lines
    assert "\n".join(lines).count("maximal") == 3
    assert "3 components of dimension 34 and 35; it is singular along strata of dimension" in out


def test_strata_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "strata", "2-2-2", "--json")
    answer = json.loads(out)
    assert code == 0
    assert (answer["count"], len(answer["strata"]), len(answer["edges"])) == (10, 10, 13)
    code, out, err = run(capsys, "strata", "2,2,2", "--json", "--limit", "3")
    answer = json.loads(out)
    assert (answer["count"], len(answer["strata"]), answer["edges"]) == (10, 3, [])
    assert "3 of 10" in err


def test_strata_counts_and_budgets(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(capsys, "strata", "8,8,8,8,8", "-r", "1", "--count")[1].startswith("44473 rank strata")
    assert json.loads(run(capsys, "strata", "3,3", "--count", "--json")[1])["strata"] == 4
    assert run(capsys, "strata", "8,8,8,8,8", "--memory", "1MB")[0] == 3
    for bad in (["4,6", "--rank", "5"], ["four"], ["4"], [""], ["4,-6"]):
        code, out, err = run(capsys, "strata", *bad)
        assert code in (2, 4), bad
        assert not out
        assert "Traceback" not in err
    assert run(capsys, "strata")[0] == 2
    for widths, rank in (("2,2,2", "1"), ("2,2,2,2", "1")):
        picture = tmp_path / f"{len(widths)}.png"
        code, _, err = run(capsys, "strata", widths, "-r", rank, "--plot", str(picture))
        assert code == 0
        assert "wrote" in err
        assert picture.stat().st_size > 5000
    assert run(capsys, "strata", "2,2", "-r", "1", "--plot", str(tmp_path / "none" / "x.png"))[0] == 4
    assert run(capsys, "strata", "2,2", "-r", "1", "--plot", str(tmp_path / "x.abc"))[0] == 2


def test_stratum_of_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    w = pf.linear.sample([2, 1, 2], widths=(4, 6, 5), rng=0)
    path, picture = tmp_path / "w.npz", tmp_path / "w.svg"
    np.savez(path, W2=w[1], W1=w[0], b1=np.zeros(6))
    code, out, err = run(capsys, "stratum", str(path), "--plot", str(picture))
    assert code == 0
    assert "stratum among all weights: dim 33" in out  # and the matrices of rank 1 are 4 + 5 - 1
    assert "its part inside one fiber: dim 25, dof 40, rdof 15, codim 29" in out
    assert "not used: b1" in err
    assert picture.exists()
    code, out, _ = run(capsys, "stratum", str(path), "--json", "-q")
    answer = json.loads(out)
    assert (code, answer["verdict"], answer["dim"]) == (0, "yes", 25)
    assert (answer["dim_in_weights"], answer["dim_in_fiber"]) == (33, 25)
    assert [r["rank"] for r in answer["ranks"]] == [2, 1, 2]
    assert all(g["certain"] for g in answer["gaps"])


def test_stratum_says_when_it_does_not_know(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    np.savez(path, np.diag([1.0, 1e-9]), np.eye(2))
    code, out, _ = run(capsys, "stratum", str(path))
    assert code == 3
    assert "undecided, 1..2" in out
    assert run(capsys, "stratum", str(path), "--tolerance", "1e-7")[0] == 0
    assert run(capsys, "stratum", str(path), "--exact")[0] == 0
    code, out, _ = run(capsys, "stratum", str(path), "--json")
    assert (code, json.loads(out)["verdict"]) == (3, "undecided")


def test_stratum_orders_layers_by_number(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    np.savez(path, **{f"layer{j}": np.ones((j + 1, j)) for j in (10, 2, 9, 1, 3, 4, 5, 6, 7, 8)})
    code, out, _ = run(capsys, "stratum", str(path))
    assert code == 0
    assert "widths 1,2,3,4,5,6,7,8,9,10,11" in out


def test_stratum_of_a_network_file_and_of_rubbish(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    pf.ReLUNetwork.random((2, 3, 1), rng=0).save(path)
    code, out, err = run(capsys, "stratum", str(path))
    assert code == 0
    assert "widths 2,3,1" in out
    assert "bias" in err
    empty, text = tmp_path / "empty.npz", tmp_path / "text.npz"
    np.savez(empty, b=np.zeros(3))
    text.write_text("not an archive")
    clash = tmp_path / "clash.npz"
    np.savez(clash, W1=np.eye(2), W2=np.eye(3))
    for bad in (empty, text, clash, tmp_path / "missing.npz"):
        code, out, err = run(capsys, "stratum", str(bad))
        assert code in (2, 4), bad
        assert not out
        assert err.startswith("polyfiber: ")


def test_geodesic_between_two_networks(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name, size in (("a", 1.0), ("b", 2.0)):
        np.savez(tmp_path / f"{name}.npz", W1=size * np.eye(2), W2=size * np.eye(2), W3=size * np.eye(2))
    code, out, _ = run(capsys, "geodesic", str(tmp_path / "a.npz"), str(tmp_path / "b.npz"), "--json")
    answer = json.loads(out)
    assert code == 0
    assert answer["depth"] == 3
    assert answer["length"] == pytest.approx(6**0.5)
    assert answer["shortest"] is True
    code, out, _ = run(capsys, "geodesic", str(tmp_path / "a.npz"), str(tmp_path / "b.npz"), "--depth", "2")
    assert code == 0
    assert "length" in out
    np.savez(tmp_path / "c.npz", W1=np.diag([1.0, -1.0]))
    code, _, err = run(capsys, "geodesic", str(tmp_path / "a.npz"), str(tmp_path / "c.npz"))
    assert code == 4
    assert "--depth" in err
    code, _, err = run(capsys, "geodesic", str(tmp_path / "a.npz"), str(tmp_path / "c.npz"), "--depth", "2")
    assert code == 4
    assert "components" in err


def test_geodesics_of_all_depths_and_near_lower_rank(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name, W in (
        ("a", np.diag([1.0, 2.0])), ("b", np.diag([2.0, 1.0])), ("reflected", np.diag([1.0, -1.0])),
        ("near", np.diag([1.0, 1e-8])), ("turned", np.diag([1e-8, 1.0])),
    ):  # fmt: skip
        np.savez(tmp_path / f"{name}.npz", W1=W)
    file = {name: str(tmp_path / f"{name}.npz") for name in ("a", "b", "reflected", "near", "turned")}
    code, out, _ = run(capsys, "geodesic", file["a"], file["b"], "-N", "inf", "--json")
    answer = json.loads(out)
    assert (code, answer["depth"], answer["solved"]) == (0, "inf", True)
    assert answer["length"] == pytest.approx(2**0.5 * np.log(2.0))
    code, out, _ = run(capsys, "geodesic", file["a"], file["reflected"], "-N", "1")
    assert code == 0
    assert "rank" not in out.splitlines()[0].replace("ranks", "")
    code, out, _ = run(capsys, "geodesic", file["a"], file["b"], "-N", "3")
    assert not any(word in out for word in ("None", "nan", "conjugate points\t-1"))
    for bad in ("0", "-1", "2.5", "nan", "infinity", "", "²"):
        assert run(capsys, "geodesic", file["a"], file["b"], f"--depth={bad}")[0] == 2, bad
    code, out, _ = run(capsys, "geodesic", file["near"], file["turned"], "-N", "10", "--json")
    answer = json.loads(out)
    assert code == 0
    assert answer["solved"] is (answer["residual"] <= 1e-9 and "along" not in answer["method"])


def test_critical_types_have_limits(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "critical", "3,3,3", "--values", "3,2,1", "--limit", "2", "--json")
    answer = json.loads(out)
    assert (code, answer["count"], len(answer["strata"])) == (0, 20, 2)
    assert "2 of 20" in err
    code, out, _ = run(capsys, "critical", "4,4,4,4,4", "--values", "4,3,2,1", "--seconds", "0.01", "--json")
    assert code == 3
    assert json.loads(out)["stopped"]["option"] == "--seconds"


def test_critical_strata(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "critical", "3,2,2,3", "--values", "3,2,1", "--rank", "1", "--json")
    assert code == 0
    kinds = {tuple(t["ranks"]): (t["kind"], t["index"]) for t in json.loads(out)["strata"]}
    assert kinds[1, 1, 1, 1, 1, 1] == ("saddle", 0)
    assert kinds[1, 1, 2, 1, 1, 1] == ("strict saddle", 2)
    np.savez(tmp_path / "y.npz", W1=np.diag([2.0, 1.0]))
    code, out, _ = run(capsys, "critical", "2,2,2", "--target", str(tmp_path / "y.npz"))
    assert code == 0
    assert "global minimum" in out
    for wrong, code in ((["2,2,2"], 2), (["2,2,2", "--values", "1,x"], 2), (["2,2,2", "--values", "1,2,3"], 2)):
        assert run(capsys, "critical", *wrong)[0] == code
