"""The commands classify and minimize: output, JSON, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.cli.app import main
from polyfiber.fibers.examples import hiding_example


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


@pytest.fixture
def hiding_file(tmp_path: Path) -> Path:
    path = tmp_path / "hiding.npz"
    hiding_example((4, 3, 1, 2), hidden=1, rng=0).save(path)
    return path


def test_classify(capsys: pytest.CaptureFixture[str], hiding_file: Path, tmp_path: Path) -> None:
    code, out, _ = run(capsys, "classify", str(hiding_file))
    assert code == 0
    assert "hiding" in out
    sample = tmp_path / "other.npz"
    code, out, err = run(
        capsys, "classify", str(hiding_file), "--json", "--local", "--components", "10", "--sample", str(sample)
    )
    answer = json.loads(out)
    assert code == 0
    assert (answer["kind"], answer["identifiable"], answer["hidden_hyperplane"]) == ("hiding", False, 1)
    assert answer["dimension"] == answer["local"]["dimension"] == 1
    assert len(answer["components"]) == 4
    assert "wrote" in err
    assert answer["sample"] == {"file": str(sample), "same_weights": False}
    assert pf.classify_fiber(pf.read_network(hiding_file)).contains(pf.read_network(sample))


def test_a_sample_with_the_very_same_weights_is_named_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Also by --quiet and in JSON."""
    path, sample = tmp_path / "net.npz", tmp_path / "other.npz"
    pf.ReLUNetwork.random((4, 3, 3, 2), rng=0).save(path)
    code, out, err = run(capsys, "classify", str(path), "--sample", str(sample), "-q")
    assert (code, err) == (0, "")
    assert "holds the very same weights: no others are known" in out.splitlines()[0]
    assert pf.read_network(sample) == pf.read_network(path)
    _, out, _ = run(capsys, "classify", str(path), "--sample", str(sample), "--json")
    assert json.loads(out)["sample"] == {"file": str(sample), "same_weights": True}


def test_another_theorem_is_no_contradiction(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "scalar.npz"
    pf.ReLUNetwork([[[1.0]], [[1.0], [-2.0]], [[1.0, 3.0]]], [[0.0], [-1.0, 3.0], [0.5]]).save(path)
    _, out, _ = run(capsys, "classify", str(path))
    assert "theorem for two hidden layers\tdoes not apply; another theorem does" in out
    assert "\nby a theorem\t" in out


def test_classify_undecided_and_bad_input(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "wide.npz"
    pf.ReLUNetwork.random((2, 4, 3, 1), rng=0).save(path)
    code, out, _ = run(capsys, "classify", str(path))
    assert code == 3
    assert "no bottleneck" in out
    code, out, err = run(capsys, "classify", str(path), "--local", "--memory", "10B", "--json")
    assert code == 3
    answer = json.loads(out)
    assert (answer["kind"], answer["dimension"]) == ("rigid", 0)
    assert [g["basis"] for g in answer["grounds"]] == ["computed", "evidence"]
    assert "no local dimension" in err
    pf.ReLUNetwork.random((60, 70, 70, 1), rng=0).save(path)  # too wide for everything
    code, out, err = run(capsys, "classify", str(path), "--sample", str(tmp_path / "x.npz"))
    assert code == 4
    assert "not decided" in err
    code, _, err = run(capsys, "classify", str(tmp_path / "missing.npz"))
    assert code == 4
    assert len(err.strip().splitlines()) == 1
    pickle = tmp_path / "model.pkl"
    pickle.write_bytes(b"\x80\x04\x95\x00\x00")
    code, _, err = run(capsys, "classify", str(pickle))
    assert code == 4
    assert len(err.strip().splitlines()) == 1


def test_the_local_dimension_is_that_on_the_domain(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Where one region is all there is, only the affine map is kept: 13 parameters, 3 scalings, a gradient and a value."""
    net = pf.ReLUNetwork([[[1, 0], [0, 1], [1, 1]], [[1, 2, 3]]], [[5, 5, 5], [0]])
    net.save(tmp_path / "net.npz")
    box = pf.Box(-1, 1, dimension=2)
    assert pf.classify_fiber(net).local_dimension == 0
    assert pf.classify_fiber(net, domain=box).local_dimension == 13 - 3 - 3
    _, out, _ = run(capsys, "classify", str(tmp_path / "net.npz"), "--local", "--domain", "-1,1", "--json", "-q")
    assert json.loads(out)["local"]["dimension"] == 7, out


def test_minimize(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    base = pf.ReLUNetwork.random((3, 3, 3, 2), rng=2)
    W2, b2 = base.weights[1].copy(), base.biases[1].copy()
    W2[0], b2[0] = -np.abs(W2[0]), -1.0
    net = pf.ReLUNetwork([base.weights[0], W2, base.weights[2]], [base.biases[0], b2, base.biases[2]])
    path, small = tmp_path / "net.npz", tmp_path / "small.npz"
    net.save(path)
    code, out, err = run(capsys, "minimize", str(path), "-o", str(small), "--json")
    answer = json.loads(out)
    assert code == 0
    assert answer["architecture"] == [3, 3, 2, 2]
    assert answer["saved_neurons"] == 1
    assert answer["largest_relative_difference"] < 1e-13
    assert answer["compared_at"]["source"] == "complexes"
    assert pf.read_network(small).architecture == (3, 3, 2, 2)
    code, out, _ = run(capsys, "minimize", str(path), "--epsilon", "0.5", "--box", "-1,1", "--bounds")
    assert code == 0
    assert "bound on the change" in out
    assert out.count(", up to rounding, on the ") == 2
    code, _, err = run(capsys, "minimize", str(path), "--epsilon", "0.5")
    assert code == 2
    assert "--domain" in err


def test_minimize_proves(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    base = pf.ReLUNetwork.random((2, 5, 4, 2), rng=0)
    W = np.vstack([base.weights[1], 3 * base.weights[1][:1]])
    C = np.hstack([base.weights[2], [[1.0], [2.0]]])
    net = pf.ReLUNetwork(
        [base.weights[0], W, C], [base.biases[0], np.r_[base.biases[1], 3 * base.biases[1][0]], base.biases[2]]
    )
    path = tmp_path / "net.npz"
    net.save(path)
    code, out, _ = run(capsys, "minimize", str(path), "--prove", "--json")
    answer = json.loads(out)
    assert code == 0
    assert answer["proof"]["verdict"] == "yes"
    assert answer["saved_neurons"] == 1
    code, out, _ = run(capsys, "minimize", str(path), "--prove", "--box", "-1,1", "--epsilon", "0.1")
    assert code == 0
    assert "within epsilon" in out
    assert out.startswith("Saved")
    code, out, _ = run(capsys, "classify", str(path), "--box", "-0.01,0.01", "--bounds", "--json")
    answer = json.loads(out)
    assert code == 0
    assert answer["identifiable"] is False
    assert {f["by"] for f in answer["findings"]} <= {"interval bounds", "linear bounds", "LP bounds", "weights"}
    assert answer["activity_from"] == "bounds"


LEAKY = Path(__file__).parents[2] / "data" / "iris_petals_leaky.onnx"


def test_a_graph_file_is_answered_about_its_gates(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    box = "--domain=-1,1"
    code, out, _ = run(capsys, "classify", str(LEAKY), box, "--json", "--local", "-q")
    answer = json.loads(out)
    assert code == 3
    assert answer["identifiable"] is False
    assert {f["kind"] for f in answer["findings"]} == {"linear"}  # slopes 0.1 below: nothing is dead
    assert answer["local"]["functional_dimension"] > 0
    assert "ReLU chains alone" in answer["answer"]
    code, _, err = run(capsys, "classify", str(LEAKY), "--components", "3")
    assert code == 4
    assert "no components" in err
    small = tmp_path / "small.npz"
    code, out, _ = run(capsys, "minimize", str(LEAKY), box, "--json", "-q", "-o", str(small))
    answer = json.loads(out)
    assert code == 0
    assert answer["saved_neurons"] == 18
    x = np.random.default_rng(0).uniform(-1, 1, (20, 2))
    assert np.allclose(pf.read_network(small).rounded()(x), pf.read_network(LEAKY)(x))
    code, out, _ = run(capsys, "bounds", str(LEAKY), box, "--method", "exact", "--json", "-q")
    assert code == 0
    assert json.loads(out)["simplified"] == [2, 1, 5, 3]
    code, out, _ = run(capsys, "info", str(LEAKY), "--json")
    assert code == 0
    assert json.loads(out)["expected"]["vertices"] > 100


def test_a_budget_that_stopped_is_named_and_no_theorem_of_another_depth(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    wide, shallow = tmp_path / "wide.npz", tmp_path / "shallow.npz"
    net = pf.ReLUNetwork.random((2, 4, 4, 1), rng=1)
    pf.ReLUNetwork(net.weights, [net.biases[0], net.biases[1] + 50, net.biases[2]]).save(wide)
    pf.ReLUNetwork.random((2, 3, 1), rng=0).save(shallow)
    code, out, _ = run(capsys, "classify", str(wide), "--seconds", "0")
    assert code == 3
    assert "Next: more --seconds" in out
    assert "budget of 0 s" not in out
    code, out, _ = run(capsys, "classify", str(shallow))
    assert (code, "two hidden layers" in out) == (0, False)
