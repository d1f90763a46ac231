"""Slices through inputs from files, and what commands print of the walk over their regions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from ... import words
from ...errors import FileFormatError, InputError, MissingDependencyError, ShapeError
from ...network.names import local_path
from ..options import Limits, Output, Window, refuse
from ..outputs import new_figure, write_figure
from ..render import facts as show_facts
from ..render import note, table, tell
from .parsing import parse_domain

LARGEST_INPUT = 1 << 30
"""Bytes of one input file."""


@dataclass(frozen=True)
class Through:
    """Inputs that span the slice, and what is asked about it."""

    through: tuple[Path, Path, Path] = typer.Option(
        None,
        "--through",
        metavar="A B C",
        help="Three inputs that span the plane: .npy (FILE:ROW for one of many, -1 the last) or images.",
    )
    between: tuple[Path, Path] = typer.Option(None, "--between", metavar="A B", help="Two inputs that span a line.")
    scale: float = typer.Option(
        1.0, "--scale", help="With --through or --between: factor of the numbers in the files; images hold 0 to 1."
    )
    level: float = typer.Option(
        None, "--level", help="Measure where output 0 takes this value, in a walk over a plane."
    )
    ball: float = typer.Option(None, "--ball", help="Count regions that meet the ball of this radius in the middle.")


def read_input(path: Path, shape: tuple[int, ...], scale: float) -> Any:
    """Numbers of a ``.npy`` file (``FILE:ROW`` for one row of many, ``FILE:-1`` the last) or of an image, as a vector for a network.

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
    if stem and last.removeprefix("-").isdigit() and not path.exists():
        name, row = path.with_name(stem), int(last)
    if not local_path(name, "an input").is_file():
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
            if values.ndim < 2 or not -len(values) <= row < len(values):
                raise InputError(f"{name} has shape {values.shape}; there is no row {row}")
            values = values[row]
    else:
        values = _image(name, shape)
    if values.dtype.kind not in "fiub":
        raise FileFormatError(f"{name} holds {values.dtype}; expected numbers")
    if values.size != size:
        raise ShapeError(
            f"{path} holds {values.shape}, {words.count(values.size, 'number')}; the network takes {shape}, {size} numbers"
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
            wide = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")
            if image.mode == "F" or (image.mode.startswith("I") and (not wide or channels == 3)):
                raise InputError(
                    f"{path} has pixels of mode {image.mode}, which hold no 8-bit values; give it as .npy, or as an 8-bit image"
                )
            if wide:  # Pillow would cut 16-bit values at 255
                values = np.asarray(image, dtype=np.float64) / 65535
            else:
                values = np.asarray(image.convert("RGB" if channels == 3 else "L"), dtype=np.float64) / 255
    except UnidentifiedImageError:
        raise FileFormatError(f"{path} is neither a .npy file nor an image") from None
    except (OSError, Image.DecompressionBombError) as error:
        raise FileFormatError(f"{path} cannot be read as an image: {error}") from None
    return np.moveaxis(values, -1, 0) if channels == 3 else values


def through_inputs(
    net: Any, file: Path, plot: Path | None, asked: Through, limits: Limits, printing: tuple[Window, Output]
) -> None:
    """The slice through two or three inputs."""
    from ...complexes.planar.build import slice_through

    where, output = printing
    if asked.through and asked.between:
        raise typer.BadParameter("--through and --between are two ways to say what spans the slice; give one")
    refuse(
        ("--axes", "--along", "--origin", "--exact"), "not with --through or --between, which say what spans the slice"
    )
    if plot is not None:
        if not asked.through:
            raise typer.BadParameter("--plot draws a planar slice: three inputs by --through")
        new_figure(plot, (1, 1))
    if not math.isfinite(asked.scale) or not asked.scale:
        raise typer.BadParameter(f"--scale {asked.scale:g} makes one input of all; give a finite number other than 0")
    points = [read_input(p, net.input_shape, asked.scale) for p in asked.through or asked.between]
    domain = None if where.domain is None else parse_domain(where.domain, len(points) - 1)
    if where.domain is not None and domain is None:
        raise typer.BadParameter("a slice through inputs needs a bounded domain")
    s = slice_through(net, *points, domain=domain, budget=limits.budget, progress=output.progress)
    tell_walk(s, file, plot, asked, output)


def tell_walk(s: Any, file: Path, plot: Path | None, asked: Through, output: Output) -> None:
    """What a walk over the regions of a slice found."""
    from dataclasses import asdict

    found: dict[str, Any] = {
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
        found["decision_boundary_segments"] = len(boundary := s.decision_boundary())
        found["decision_boundary_length"] = boundary.length
        if asked.level is not None:
            found["level_set_segments"] = len(level := s.level_set(asked.level))
            found["level_set_length"] = level.length
    if plot is not None:
        figure = new_figure(plot, (8, 7))
        s.plot(ax=figure.add_subplot())
        write_figure(figure, plot)
        note(f"drew {plot}", quiet=output.quiet)
    names = [n for n in (asdict(rows[0]) if rows else ()) if n != "in_ball" or asked.ball is not None]
    blocks = [{n: asdict(row)[n] for n in names} for row in rows]
    if tell(s.sentence, found | {"blocks": blocks}, json=output.json):
        if blocks:
            table([list(b.values()) for b in blocks], header=[n.replace("_", " ") for n in names], title=str(file))
        else:
            table(list(enumerate(s.f_vector)), header=("dimension", "faces"), title=str(file))
        show_facts(found, title="")
