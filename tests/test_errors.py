"""Errors are what Python programs expect them to be."""

from __future__ import annotations

import copy
import errno
import pickle
from pathlib import Path

import pytest

import polyfiber as pf
from polyfiber.complexes.archive import load_complex
from polyfiber.errors import FileFormatError, MissingFileError


@pytest.mark.parametrize("open_it", [pf.read_network, load_complex])
def test_a_missing_file_is_a_file_not_found(open_it, tmp_path: Path) -> None:
    """``errno`` and ``filename`` as ``open`` sets them; the message stays the sentence, copies keep all of it."""
    path = tmp_path / "absent.npz"
    with pytest.raises(FileNotFoundError) as caught:
        open_it(path)
    for error in (caught.value, copy.copy(caught.value), pickle.loads(pickle.dumps(caught.value))):
        assert isinstance(error, MissingFileError)
        assert isinstance(error, FileFormatError)
        assert error.errno == errno.ENOENT
        assert error.filename == str(path)
        assert "absent.npz" in str(error)
        assert "Errno" not in str(error)
