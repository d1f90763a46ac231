"""Where files lie: a folder of this machine, or a bucket behind fsspec; nothing outside of it is ever touched.

Files have names relative to their place, with ``/`` between the parts. A name that leads out of the place (``..``, an
absolute path, a link) is an error before anything is read, written or deleted. Files are written whole or not at all:
under another name, synced and renamed; in a bucket by one put.

The guard is against what a dataset holds (links, names in manifests and sums), not against a process that swaps folders
for links at the same moment.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import stat
import tempfile
import uuid
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..._values.checked import path_of
from ...errors import FileFormatError, InputError, MissingDependencyError, PolyfiberError
from ...network.names import printable

UNFINISHED = ".partial"
"""Folder of a local place where unfinished files lie."""

WALKED = 200_000
"""Entries of a folder that are looked at for files that match a pattern."""

_WHOLE_PUTS = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory"}
"""Protocols where one put makes an object appear whole; elsewhere it is renamed into its place."""

_NO_PLACES = {
    "async_wrapper", "asynclocal", "blockcache", "cached", "data", "dir", "filecache", "generic", "http", "https", "jlab", "jupyter",
    "libarchive", "reference", "simplecache", "tar", "zip",
}  # fmt: skip
"""Protocols of fsspec that wrap another one or only read: no folder that files can be put into."""

_OURS = re.compile(r"(\..+\.|[A-Za-z0-9_]+-\d{5,}-)[0-9a-f]{32}(\.parquet)?")
"""Names of unfinished files: only such are swept away."""


@dataclass(frozen=True)
class Facts:
    """Size of a file, and a stamp that changes when the file does."""

    size: int
    stamp: str


def checked_name(name: str, where: object) -> tuple[str, ...]:
    """The parts of a relative name.

    Raises
    ------
    FileFormatError
        The name is absolute, leads upwards, or is no name of a file.
    """
    parts = tuple(name.split("/")) if isinstance(name, str) else ()
    if not parts or any(p in ("", ".", "..") or "\0" in p or "\\" in p or len(p) > 255 for p in parts):
        shown = name if len(str(name)) < 80 else f"{str(name)[:80]}…"
        raise FileFormatError(f"{where}: {shown!r} is no name of a file inside; expected a relative path without '..'")
    return parts


class LocalPlace:
    """A folder of this machine.

    Parameters
    ----------
    path : path
        May itself be a link: it is what the user named.
    inner_links : bool
        Follow links that stay inside; by default there may be none at all.
    """

    def __init__(self, path: str | Path, *, inner_links: bool = False) -> None:
        try:
            self.path = Path(path_of(path)).resolve()
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(f"{str(path)[:200]!r} is no path of a folder: {error}") from None
        self.inner_links = inner_links

    def __str__(self) -> str:
        return str(self.path)

    shared = True
    """Whether other processes of this machine see it."""

    @property
    def scratch(self) -> Path:
        """Where unfinished files are written: the same file system, so that they can be renamed."""
        folder = self._path(UNFINISHED)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder}: no folder for unfinished files: {error.strerror}") from None
        return folder

    def _path(self, name: str) -> Path:
        """The path of a name, after a look at every step of it."""
        path = self.path
        for part in checked_name(name, self.path):
            path = path / part
            try:
                linked = stat.S_ISLNK(os.lstat(path).st_mode)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise InputError(f"{path}: cannot be looked at: {error.strerror}") from None
            if linked and not (self.inner_links and path.resolve().is_relative_to(self.path)):
                raise InputError(
                    f"{path} is a link; nothing outside of {self.path} is read, written or deleted. "
                    "Put the files themselves there"
                )
        return path

    def facts(self, name: str) -> Facts | None:
        """Size and stamp of a file; None where there is none."""
        try:
            found = os.stat(self._path(name))
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"{self.path / name} is no regular file")
        return Facts(found.st_size, f"{found.st_mtime_ns}.{found.st_ctime_ns}.{found.st_ino}")

    def local(self, name: str) -> Path:
        """A path that can be opened."""
        if self.facts(name) is None:
            raise FileFormatError(f"{self.path / name}: missing")
        return self._path(name)

    def open(self, name: str) -> Any:
        """What pyarrow opens."""
        return str(self.local(name))

    def read(self, name: str, *, most: int) -> bytes:
        """The bytes of a file, at most so many."""
        facts = self.facts(name)
        if facts is None:
            raise FileFormatError(f"{self.path / name}: missing")
        _check_size(self, name, facts.size, most)
        try:
            with open(self._path(name), "rb") as stream:
                return stream.read(most + 1)[:most]
        except OSError as error:
            raise FileFormatError(f"{self.path / name}: cannot be read: {error.strerror}") from None

    def write(self, name: str, data: bytes, *, lasting: bool = True) -> None:
        """Write a file whole or not at all; `settle` makes up for what is not ``lasting``."""
        temporary = self.scratch / f".{name.rpartition('/')[2]}.{uuid.uuid4().hex}"
        try:
            with open(temporary, "xb") as stream:
                stream.write(data)
                stream.flush()
                if lasting:
                    os.fsync(stream.fileno())
            self.put(name, temporary, lasting=lasting)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def put(self, name: str, path: Path, *, lasting: bool = True) -> None:
        """Move a synced file of `scratch` to its name."""
        self.facts(name)  # refuses what is there and no file
        final = self._path(name)
        final.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, final)
        if lasting:
            _sync(final.parent)

    def settle(self) -> None:
        """See to it that all that was written survives a crash of the machine: at once, not file by file."""
        if hasattr(os, "sync"):
            os.sync()

    def copy_in(self, name: str, path: Path) -> None:
        """Copy a file from elsewhere to a name."""
        temporary = self.scratch / f".{name.rpartition('/')[2][-100:]}.{uuid.uuid4().hex}"
        try:
            with open(path, "rb") as source, open(temporary, "xb") as stream:
                while piece := source.read(1 << 20):
                    stream.write(piece)
                stream.flush()
                os.fsync(stream.fileno())
            self.put(name, temporary)
        finally:
            temporary.unlink(missing_ok=True)

    def append(self, name: str, line: str) -> None:
        """Add a line to a file that belongs to this place alone."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            handle = os.open(self._path(name), flags, 0o666)
        except OSError as error:
            raise InputError(f"{self.path / name}: cannot be written to: {error.strerror}") from None
        with os.fdopen(handle, "a", encoding="utf-8") as stream:
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1:
                raise InputError(f"{self.path / name} is a link or no regular file; remove it")
            stream.write(line)

    def names(self, folder: str = "") -> list[str]:
        """Names of the entries of a folder, sorted; empty where there is none."""
        path = self._path(folder) if folder else self.path
        try:
            return sorted(os.listdir(path))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def walk(self, folder: str = "", *, everything: bool = False) -> Iterator[str]:
        """Names of all regular files under a folder; links are followed only where `inner_links` allows it.

        ``everything``: links, pipes and the like are named too.
        """
        seen = 0
        waiting = [folder]
        while waiting:
            here = waiting.pop()
            path = self._path(here) if here else self.path
            try:
                entries = sorted(os.scandir(path), key=lambda e: e.name)
            except OSError:
                continue
            seen += len(entries)
            if seen > WALKED:
                raise InputError(f"{self.path} holds more than {WALKED} files and folders; name a smaller folder")
            for entry in entries:
                name = f"{here}/{entry.name}" if here else entry.name
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(name)
                elif everything or entry.is_file(follow_symlinks=self.inner_links):
                    yield name

    def links(self) -> list[str]:
        """Names of all links in it."""
        return [name for name in self.walk(everything=True) if (self.path / name).is_symlink()]

    def exists(self) -> bool:
        """Whether the folder is there."""
        return self.path.is_dir()

    def make(self) -> None:
        """Make the folder."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.path}: no directory, and it cannot be made: {error.strerror}") from None

    def sweep(self) -> None:
        """Delete unfinished files of runs that are over, and nothing else."""
        folder = self._path(UNFINISHED)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
            for entry in entries:
                if _OURS.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(entry.path)
        with contextlib.suppress(OSError):  # a worker of a run that was killed may still write there
            folder.rmdir()

    @contextlib.contextmanager
    def lock(self, *, shared: bool = False) -> Iterator[None]:
        """Keep a second run out, as long as this process lives; shared locks let each other in.

        The system drops the lock when the process ends, however it ends. Where it knows no such
        locks nothing is locked.
        """
        self.make()
        try:
            import fcntl
        except ImportError:
            yield
            return
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            handle = os.open(self._path(".lock"), flags, 0o666)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written to: {error.strerror}") from None
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise InputError(f"{self.path / '.lock'} is no regular file; remove it")
            try:
                fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"{self.path}: another run is at work in this directory") from None
            except OSError:  # a file system without locks
                pass
            yield
        finally:
            os.close(handle)


def _sync(path: Path) -> None:
    """Make a rename in a directory survive a crash of the machine, where the system can."""
    with contextlib.suppress(OSError, AttributeError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _check_size(place: object, name: str, size: int, most: int) -> None:
    if size > most:
        raise FileFormatError(f"{place}/{name}: {size} bytes; expected at most {most}")


class RemotePlace:
    """A folder of a bucket, or of another file system that fsspec knows.

    There are no locks there: two runs of one spec write the same bytes, and a run of another spec
    finds the plan of the first.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.protocol = url.partition("://")[0]
        self.fs, self.root = _filesystem(url)
        self.root = self.root.rstrip("/")
        if self.protocol in _WHOLE_PUTS - {"memory"} and not self.root:
            raise InputError(f"{url!r} names no bucket; expected {self.protocol}://bucket/folder")
        self._folder: Any = None

    def __str__(self) -> str:
        return self.url

    @property
    def shared(self) -> bool:
        """Whether other processes see it."""
        return self.protocol != "memory"

    @property
    def scratch(self) -> Path:
        """A folder of this machine; files go from there into the bucket."""
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="polyfiber-")
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return Path(self._folder)

    def _path(self, name: str) -> str:
        return "/".join([self.root, *checked_name(name, self.url)])

    @contextlib.contextmanager
    def _told(self, name: str) -> Iterator[None]:
        """Whatever a client of a bucket raises, as one clear error."""
        try:
            yield
        except (PolyfiberError, FileNotFoundError, FileExistsError):
            raise
        except Exception as error:
            raise InputError(f"{self.url}/{name}: {_one_line(error)}") from None

    def facts(self, name: str) -> Facts | None:
        """Size and stamp of an object; None where there is none."""
        path = self._path(name)
        try:
            with self._told(name):
                found = self.fs.info(path)
        except FileNotFoundError:
            return None
        if found.get("type") != "file":
            return None
        stamp = next(
            (str(found[k]) for k in ("ETag", "etag", "md5Hash", "LastModified", "created", "mtime") if found.get(k)), ""
        )
        return Facts(int(found["size"]), stamp)

    def open(self, name: str) -> Any:
        """What pyarrow opens."""
        path = self._path(name)
        try:
            with self._told(name):
                return self.fs.open(path, "rb")
        except FileNotFoundError:
            raise FileFormatError(f"{self.url}/{name}: missing") from None

    def read(self, name: str, *, most: int) -> bytes:
        """The bytes of an object, at most so many."""
        facts = self.facts(name)
        if facts is None:
            raise FileFormatError(f"{self.url}/{name}: missing")
        _check_size(self, name, facts.size, most)
        with self._told(name):
            return bytes(self.fs.cat_file(self._path(name)))

    def local(self, name: str) -> Path:
        """A copy on this machine."""
        facts = self.facts(name)
        if facts is None:
            raise FileFormatError(f"{self.url}/{name}: missing")
        known = hashlib.sha256(f"{name} {facts.stamp} {facts.size}".encode()).hexdigest()
        target = self.scratch / "copies" / f"{known}{os.path.splitext(name)[1]}"
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            with self._told(name):
                self.fs.get_file(self._path(name), str(target) + ".part")
            os.replace(str(target) + ".part", target)
        return target

    def write(self, name: str, data: bytes, *, lasting: bool = True) -> None:
        """Write an object whole or not at all."""
        temporary = self.scratch / f".{uuid.uuid4().hex}"
        temporary.write_bytes(data)
        try:
            self.copy_in(name, temporary)
        finally:
            temporary.unlink(missing_ok=True)

    def put(self, name: str, path: Path, *, lasting: bool = True) -> None:
        """Move a file of `scratch` into the bucket."""
        self.copy_in(name, path)
        path.unlink(missing_ok=True)

    def settle(self) -> None:
        """What was put into a bucket lasts."""

    def copy_in(self, name: str, path: Path) -> None:
        """Copy a file of this machine to a name."""
        final = self._path(name)
        with self._told(name):
            if self.protocol in _WHOLE_PUTS:
                self.fs.put_file(str(path), final)
                self.fs.invalidate_cache()
                return
            self.fs.makedirs(final.rpartition("/")[0], exist_ok=True)
            temporary = f"{final.rpartition('/')[0]}/.{uuid.uuid4().hex}"
            self.fs.put_file(str(path), temporary)
            self.fs.mv(temporary, final)

    def append(self, name: str, line: str) -> None:
        """Add a line to a file; of two at once one may be lost, it is a log."""
        old = b"" if self.facts(name) is None else self.read(name, most=1 << 28)
        self.write(name, old + line.encode())

    def names(self, folder: str = "") -> list[str]:
        """Names of the entries of a folder, sorted."""
        path = self._path(folder) if folder else self.root
        try:
            with self._told(folder):
                return sorted(str(f).rstrip("/").rpartition("/")[2] for f in self.fs.ls(path, detail=False))
        except FileNotFoundError:
            return []

    def walk(self, folder: str = "", *, everything: bool = False) -> Iterator[str]:
        """Names of all objects under a folder."""
        path = self._path(folder) if folder else self.root
        with self._told(folder):
            found = self.fs.find(path)
        if len(found) > WALKED:
            raise InputError(f"{self.url} holds more than {WALKED} objects; name a smaller folder")
        yield from (str(f)[len(self.root) + 1 :] for f in found)

    def links(self) -> list[str]:
        """There are none."""
        return []

    def exists(self) -> bool:
        """Whether anything is there."""
        return bool(self.names())

    def make(self) -> None:
        """Buckets have no folders to make; elsewhere they are made with the first file."""

    def sweep(self) -> None:
        """Nothing unfinished ever lies in a bucket."""

    @contextlib.contextmanager
    def lock(self, *, shared: bool = False) -> Iterator[None]:
        """No lock, see the class."""
        yield


Place = LocalPlace | RemotePlace


def place_of(where: str | Path | LocalPlace | RemotePlace, *, inner_links: bool = False) -> Place:
    """The place of a path or of a URL such as ``s3://bucket/folder``.

    Raises
    ------
    InputError
        A protocol that fsspec does not know.
    MissingDependencyError
        Without fsspec, or without its package for this protocol.
    """
    if isinstance(where, LocalPlace | RemotePlace):
        return where
    text = path_of(where)
    broken = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/(?!/)", text)
    if broken:
        path = "a pathlib.Path drops a slash of" if isinstance(where, Path) else "a slash is missing in"
        raise InputError(f"{text!r}: {path} {broken[1]}://; pass the address as text")
    if "://" not in text:
        return LocalPlace(where, inner_links=inner_links)
    protocol, _, rest = text.partition("://")
    if protocol in ("file", "local"):
        machine, slash, path = rest.partition("/")
        if machine not in ("", "localhost") or not slash:
            raise InputError(f"{text}: expected {protocol}:///folder, a folder of this machine; found {machine!r}")
        return LocalPlace("/" + path, inner_links=inner_links)
    inside = rest.strip("/")
    if inside and any(part in ("", ".", "..") for part in inside.split("/")):
        raise InputError(
            f"{text!r}: a bucket keeps '..', '.' and '//' as names, and a download leaves its folder there"
        )
    return RemotePlace(text)


def _filesystem(url: str) -> tuple[Any, str]:
    protocol = url.partition("://")[0]
    try:
        import fsspec
    except ImportError:
        raise MissingDependencyError("fsspec", extra="data", purpose=f"reading and writing {protocol}://") from None
    if protocol in ("http", "https"):
        raise InputError(
            f"{url}: {protocol}:// can be read and not listed or written to; expected a folder (download the files into one), s3:// or gs://"
        )
    if protocol not in fsspec.available_protocols() or protocol in _NO_PLACES or "::" in url:
        raise InputError(
            f"{url}: {protocol}:// is no file system that is known to hold folders; expected a path, s3://, gs://, memory:// or another protocol of fsspec"
        )
    try:
        return fsspec.core.url_to_fs(url)
    except ImportError as error:
        package = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}.get(
            protocol
        )
        if package is None:
            raise InputError(f"{url}: {_one_line(error)}") from None
        raise MissingDependencyError(package, extra="cloud", purpose=f"reading and writing {protocol}://") from None
    except (AttributeError, TypeError, ValueError, NotImplementedError):
        raise InputError(
            f"{url}: an address alone does not open {protocol}://; expected s3://, gs:// or memory://"
        ) from None
    except Exception as error:
        raise InputError(f"{url}: {_one_line(error)}") from None


def _one_line(error: BaseException) -> str:
    return printable(" ".join(f"{type(error).__name__}: {error}".split()), 300)
