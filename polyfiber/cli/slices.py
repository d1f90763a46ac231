"""The command slice: a network of any size on a plane or a line, through inputs or along axes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from ..errors import FileFormatError, InputError, MissingDependencyError, ShapeError
from .complexes import parse_box
from .options import Limits, Output, grouped
from .outputs import draw, new_figure, write_figure
from .regions import parse_point
from .render import note, progress_line, table, to_json

_FILE = typer.Argument(..., help="Network: .onnx .npz .safetensors .pt .h5 .keras .nnet")
LARGEST_INPUT = 1 << 30
"""Bytes of one input file."""


@dataclass(frozen=True)
class Through:
    """Inputs that span the slice, and what is asked about it."""

    through: tuple[Path, Path, Path] = typer.Option(
        None, "--through", help="Three inputs that span the plane: .npy (FILE:ROW for one of many) or images."
    )
    between: tuple[Path, Path] = typer.Option(None, "--between", help="Two inputs that span a line.")
    scale: float = typer.Option(1.0, "--scale", help="Factor of the numbers in input files; images hold 0 to 1.")
    level: float = typer.Option(None, "--level", help="Level of output 0 to measure, beside the decision boundary.")
    ball: float = typer.Option(None, "--ball", help="Count regions that meet the ball of this radius in the middle.")


def read_input(path: Path, shape: tuple[int, ...], scale: float) -> Any:
    """Numbers of a ``.npy`` file (``FILE:ROW`` for one row of many) or of an image, as a vector for a network.

    Parameters
    ----------
    path : Path
    shape : tuple of int
        Of one input of the network; channels first where it is an image.
    scale : float
        Factor of the numbers; those of images are 0 to 1.
    """
    import numpy as np

    size = int(np.prod(shape))
    name, row = path, None
    stem, _, last = path.name.rpartition(":")
    if stem and last.isdigit() and not path.exists():
        name, row = path.with_name(stem), int(last)
    if not name.is_file():
        raise InputError(f"there is no file {name}")
    if name.stat().st_size > LARGEST_INPUT:
        raise InputError(f"{name} has {name.stat().st_size:,} bytes; the limit for an input is {LARGEST_INPUT:,}")
    with name.open("rb") as stream:
        start = stream.read(6)
    if start == b"\x93NUMPY":
        try:
            values = np.load(name, allow_pickle=False)
        except ValueError as error:
            raise FileFormatError(f"{name} is no array of numbers: {error}") from None
        if row is not None:
            if values.ndim < 2 or row >= len(values):
                raise InputError(f"{name} has shape {values.shape}; there is no row {row}")
            values = values[row]
    else:
        values = _image(name, shape)
    if values.dtype.kind not in "fiub":
        raise FileFormatError(f"{name} holds {values.dtype}; expected numbers")
    if values.size != size:
        raise ShapeError(
            f"{path} holds {values.shape}, {values.size} numbers; the network takes {shape}, {size} numbers"
        )
    return values.astype(np.float64).reshape(-1) * scale


def _image(path: Path, shape: tuple[int, ...]) -> Any:
    import numpy as np

    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise MissingDependencyError("Pillow", extra="plot", purpose="reading images") from None
    channels = shape[0] if len(shape) == 3 else 1
    try:
        with Image.open(path) as image:
            if image.width * image.height > LARGEST_INPUT // 64:
                raise InputError(f"{path} has {image.width} x {image.height} pixels")
            values = np.asarray(image.convert("RGB" if channels == 3 else "L"), dtype=np.float64) / 255
    except UnidentifiedImageError:
        raise FileFormatError(f"{path} is neither a .npy file nor an image") from None
    except (OSError, Image.DecompressionBombError) as error:
        raise FileFormatError(f"{path} cannot be read as an image: {error}") from None
    return np.moveaxis(values, -1, 0) if channels == 3 else values


def _directions(axes: str, along: str | None, n0: int) -> tuple[Any, list[str]]:
    """Directions of a slice, one a row, and their names."""
    import numpy as np

    if along is not None:
        rows = [parse_point(part, n0, "a direction") for part in along.split(";")]
        if not 1 <= len(rows) <= 3:
            raise InputError(f"--along {along!r} has {len(rows)} directions; expected one to three")
        return np.array(rows), [f"direction {i}" for i in range(len(rows))]
    try:
        chosen = [int(part) for part in axes.split(",")]
    except ValueError:
        raise InputError(f"cannot read the axes {axes!r}; expected coordinates such as 0,1") from None
    if not all(0 <= c < n0 for c in chosen) or len(set(chosen)) != len(chosen) or not 1 <= len(chosen) <= 3:
        raise InputError(f"axes {axes!r}: expected one to three different coordinates from 0 to {n0 - 1}")
    return np.eye(n0)[chosen], [f"input {c}" for c in chosen]


def slice_command(
    file: Path = _FILE,
    axes: str = typer.Option("0,1", "--axes", help="Input coordinates that span the slice: one, two or three."),
    along: str = typer.Option(None, "--along", help="Directions that span it instead, such as '1,0,2;0,1,0.5'."),
    origin: str = typer.Option(None, "--origin", help="A point of the slice; the origin by default."),
    box: str = typer.Option(
        None, "--box", help="Box in slice coordinates, or 'none' for the whole plane; -1,1 or what lies between inputs."
    ),
    plot: Path = typer.Option(None, "--plot", help="Draw a planar slice to an image."),
    exact: bool = typer.Option(False, "--exact", help="Restrict in rational arithmetic instead of rounding."),
    *,
    through: Through,
    limits: Limits,
    output: Output,
) -> None:
    """The exact complex of an affine slice of a network of any size."""
    from ..complexes.local.slices import Slice, slice_complex
    from ..complexes.planar.build import slice_through
    from ..network.readers import read_network

    net = read_network(file)
    n0 = net.architecture[0]
    quiet = output.quiet or output.json
    given = through.through or through.between
    if given:
        if through.through and through.between:
            raise InputError("--through and --between are two ways to say what spans the slice; give one")
        if plot is not None:
            if not through.through:
                raise InputError("a picture needs a planar slice: three inputs by --through")
            new_figure(plot, (1, 1))
        shape = tuple(getattr(net, "input_shape", (n0,)))
        points = [read_input(p, shape, through.scale) for p in given]
        domain = None if box is None else parse_box(box, len(points) - 1)
        s: Any = slice_through(net, *points, domain=domain, budget=limits.budget, progress=progress_line(quiet=quiet))
        _tell(s, file, plot, through, output)
        return
    directions, names = _directions(axes, along, n0)
    if plot is not None and len(names) != 2:
        raise InputError(f"a picture needs a planar slice, found dimension {len(names)}")
    domain = None if box == "none" else parse_box(box or "-1,1", len(names))
    if plot is not None:
        if domain is None:
            raise InputError("a picture needs a box: give --box")
        new_figure(plot, (1, 1))
    s = slice_complex(
        net,
        parse_point(origin, n0, "the origin"),
        directions,
        domain=domain,
        arithmetic="exact" if exact else "auto",
        budget=limits.budget,
        progress=progress_line(quiet=quiet),
    )
    if not isinstance(s, Slice):
        _tell(s, file, plot, through, output)
        return
    if plot is not None:
        draw(s.complex, plot, labels=(names[0], names[1]))
        note(f"drew {plot}", quiet=output.quiet)
    facts = {
        "directions": directions,
        "f_vector": list(s.f_vector),
        "euler_characteristic": s.complex.euler_characteristic,
        "restriction_exact": s.exact,
        "restriction_rounding": s.rounding,
        "seconds": s.complex.stats.seconds,
    }
    if output.json:
        to_json(facts)
        return
    table([(k, c) for k, c in enumerate(s.f_vector)], header=("dimension", "faces"), title=f"{file}: {s}")
    print("restriction exact" if s.exact else f"first layer rounded by at most {s.rounding:.3g}")


def _tell(s: Any, file: Path, plot: Path | None, asked: Through, output: Output) -> None:
    """What a walk over the regions of a slice found."""
    from dataclasses import asdict

    facts: dict[str, Any] = {
        "f_vector": list(s.f_vector),
        "euler_characteristic": s.euler_characteristic,
        "restriction_exact": True,
        "gates_that_differ": s.stats.gates,
        "gates_that_are_constant": s.stats.constant,
        "signs_decided_in_integers": s.stats.exact_signs,
        "share_of_regions_with_such_a_sign": s.stats.exact_share,
        "seconds": s.stats.seconds,
    }
    rows = []
    if s.dimension == 2:
        rows = s.statistics(radius=asked.ball)
        facts["decision_boundary_segments"] = len(boundary := s.decision_boundary())
        facts["decision_boundary_length"] = boundary.length
        if asked.level is not None:
            facts["level_set_segments"] = len(level := s.level_set(asked.level))
            facts["level_set_length"] = level.length
    if plot is not None:
        figure = new_figure(plot, (8, 7))
        s.plot(ax=figure.add_subplot())
        write_figure(figure, plot)
        note(f"drew {plot}", quiet=output.quiet)
    if output.json:
        to_json(facts | {"blocks": [asdict(row) for row in rows]})
        return
    if rows:
        names = list(asdict(rows[0]))
        shown = [name for name in names if name != "in_ball" or asked.ball is not None]
        cells = [[_short(asdict(row)[name]) for name in shown] for row in rows]
        table(cells, header=tuple(n.replace("_", " ") for n in shown), title=f"{file}: {s}")
    else:
        table([(k, c) for k, c in enumerate(s.f_vector)], header=("dimension", "faces"), title=f"{file}: {s}")
    for key, value in facts.items():
        print(f"{key.replace('_', ' ')}: {_short(value)}")


def _short(value: Any) -> Any:
    return f"{value:.4g}" if isinstance(value, float) else value


def register(app: typer.Typer) -> None:
    """Add the commands of this topic."""
    app.command("slice")(grouped(slice_command))
