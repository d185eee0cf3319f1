"""Where emulators are found by name: a zoo, which is a folder of bundles, here or behind https.

`index.json` beside the bundles says which these are, with the sum of each file. Where it is, a
bundle that is another one is not opened. From behind https each is fetched once and then kept.
"""

import difflib
import fcntl
import hashlib
import json
import math
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING

from aeroact.emulator import (
    CARD_FILE,
    ONNX_FILE,
    SUMS_FILE,
    Emulator,
    changed,
    open_bundle,
    read_card,
    read_sums,
    stated,
    verify_sums,
)
from aeroact.errors import AeroactError
from aeroact.files import make_folder, remove_parts, replacing_folder, sha256, write_text

if TYPE_CHECKING:
    from aeroact.console import ProgressBar

INDEX_FILE = "index.json"
INDEX_VERSION = "1"

VARIABLE = "AEROACT_ZOO"
"""Of the environment: the zoo where none is named."""

PACKAGED = Path(__file__).parent / "emulators"
"""The zoo that comes with the package."""

_MAX_INDEX = 4 << 20  # bytes
_MAX_BUNDLE = 1 << 30

# Plain, so that a name is never a path, hidden, or something to a shell.
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_SUM = re.compile(r"[0-9a-f]{64}")
_ADDRESS = re.compile(rf"https://[A-Za-z0-9.-]+(:\d+)?(/[A-Za-z0-9_.~%+-]+)*/{INDEX_FILE}")


@dataclass(frozen=True)
class Entry:
    """What an index says of one emulator.

    Attributes
    ----------
    name : str
        By which it is loaded: that of its folder.
    sums_sha256 : str
        Sum of its `SHA256SUMS`.
    files : dict of str to str
        Sum of every other file by name.
    bytes : int
        Size of all of them.
    nodes : list of int
        Of its hidden layers.
    params : int
        Weights and biases.
    mse : float
        On its holdout.
    multiple_of_arg2000 : float
        Time a state, in times of ARG2000.
    timed_in : str
        ``Fortran``, both compiled, or ``Python``, where the card has no other.
    schema_version : str
        Of states and fractions.

    Raises
    ------
    ValueError
        If something of it is not what it should be.
    """

    name: str
    sums_sha256: str
    files: dict[str, str]
    bytes: int
    nodes: list[int]
    params: int
    mse: float
    multiple_of_arg2000: float
    timed_in: str
    schema_version: str

    def __post_init__(self) -> None:
        sound = {
            "name": _is(_PLAIN, self.name),
            "sums_sha256": _is(_SUM, self.sums_sha256),
            "files": isinstance(self.files, dict)
            and {ONNX_FILE, CARD_FILE} <= self.files.keys()
            and SUMS_FILE not in self.files
            and all(_is(_PLAIN, name) and _is(_SUM, self.files[name]) for name in self.files),
            "bytes": _is_count(self.bytes) and self.bytes <= _MAX_BUNDLE,
            "nodes": isinstance(self.nodes, list) and all(map(_is_count, self.nodes)),
            "params": _is_count(self.params),
            "mse": _is_amount(self.mse),
            "multiple_of_arg2000": _is_amount(self.multiple_of_arg2000),
            "timed_in": self.timed_in in ("Fortran", "Python"),
            "schema_version": isinstance(self.schema_version, str),
        }
        wrong = [
            f"{field} is {getattr(self, field)!r:.60}" for field, ok in sound.items() if not ok
        ]
        if wrong:
            raise ValueError("; ".join(wrong))

    @property
    def sums(self) -> dict[str, str]:
        """Sums of all files by name."""
        return {**self.files, SUMS_FILE: self.sums_sha256}


def _is(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_count(value: object) -> bool:
    # JSON's true is no number, though Python's is.
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_amount(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 <= value < math.inf  # type: ignore[operator]


class Zoo(ABC):
    """Emulators by name.

    Attributes
    ----------
    where : str
        Folder or address, as it is shown.
    """

    where: str

    @abstractmethod
    def entries(self) -> list[Entry]:
        """Return what it has, by name."""

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of its emulators."""

    @abstractmethod
    def bundle(self, name: str, progress: "ProgressBar | None" = None) -> Path | None:
        """Return the folder of a bundle that is the one of the index; None if it has none."""


class FolderZoo(Zoo):
    """A folder of bundles, with or without an index.

    Without an index all bundles in it are its emulators, and each vouches for itself.

    Raises
    ------
    AeroactError
        If there is no such folder.
    """

    def __init__(self, folder: Path, where: str | None = None) -> None:
        if not folder.is_dir():
            raise AeroactError(f"{folder}: no zoo is here; name a folder of bundles")
        self.folder = folder
        self.where = where or str(folder)

    @cached_property
    def _index(self) -> dict[str, Entry] | None:
        file = self.folder / INDEX_FILE
        return _read_index(file.read_bytes(), str(file)) if file.exists() else None

    def entries(self) -> list[Entry]:
        """Return what the index lists or, without one, what the bundles' cards say."""
        if self._index is None:
            return [_describe(folder) for folder in _bundles(self.folder)]
        return list(self._index.values())

    def names(self) -> list[str]:
        """Return the names of its emulators."""
        if self._index is None:
            return [folder.name for folder in _bundles(self.folder)]
        return list(self._index)

    def bundle(self, name: str, progress: "ProgressBar | None" = None) -> Path | None:
        """Return the folder of a bundle that is the one of the index; None if it has none."""
        if name not in self.names():
            return None
        folder = self.folder / name
        if self._index is not None and (wrong := changed(folder, self._index[name].sums)):
            raise AeroactError(
                f"{folder}: not the bundle that {self.folder / INDEX_FILE} lists; missing or "
                f"changed: {', '.join(wrong)}"
            )
        return folder


class WebZoo(Zoo):
    """Bundles beside an `index.json` behind https; what was fetched once is kept.

    A kept emulator is opened without any network, and stays the one that it is until `entries`
    or `names` looks at the index anew.

    Raises
    ------
    AeroactError
        If it is not such an address.
    """

    def __init__(self, url: str) -> None:
        if not _ADDRESS.fullmatch(url):
            raise AeroactError(
                f"{url}: not a zoo; that is a folder, or a plain https://HOST/.../{INDEX_FILE}"
            )
        self.where = url
        self._cache = _cache()
        self._kept = self._cache / f"{hashlib.sha256(url.encode()).hexdigest()}.json"

    def entries(self) -> list[Entry]:
        """Return what the index lists, as it is now."""
        return list(self._index.values())

    def names(self) -> list[str]:
        """Return the names of its emulators, from the index as it is now."""
        return list(self._index)

    def bundle(self, name: str, progress: "ProgressBar | None" = None) -> Path | None:
        """Return the folder of a bundle that is the one of the index; None if it has none."""
        kept = self._kept_index().get(name)
        if kept and not changed(self._folder(kept), kept.sums):
            return self._folder(kept)
        entry = self._index.get(name)
        if entry is None:
            return None
        folder = self._folder(entry)
        with _in_turn(folder.parent):
            if changed(folder, entry.sums):
                remove_parts(folder)
                self._fetch_bundle(entry, progress)
        return folder

    def _folder(self, entry: Entry) -> Path:
        return self._cache / entry.sums_sha256 / entry.name

    def _kept_index(self) -> dict[str, Entry]:
        """Return the index as it was fetched the last time; empty if it cannot be read."""
        try:
            return _read_index(self._kept.read_bytes(), str(self._kept))
        except (AeroactError, OSError):
            return {}

    @cached_property
    def _index(self) -> dict[str, Entry]:
        from aeroact import https

        content = b"".join(https.chunks(self.where, _MAX_INDEX))
        index = _read_index(content, self.where)
        write_text(self._kept, content.decode())
        return index

    def _fetch_bundle(self, entry: Entry, progress: "ProgressBar | None") -> None:
        """Fetch all files of a bundle into the cache, or none."""
        from aeroact import console, https

        beside, received = self.where.removesuffix(INDEX_FILE), 0
        with (
            (progress or console.no_progress)(
                f"Fetching {entry.name}", entry.bytes, unit="bytes", after=2.0
            ) as show,
            replacing_folder(self._folder(entry)) as part,
        ):
            for name, expected in entry.sums.items():
                url, digest = f"{beside}{entry.name}/{name}", hashlib.sha256()
                with self._writing(part / name) as file:
                    for chunk in https.chunks(url, entry.bytes - received):
                        received += len(chunk)
                        digest.update(chunk)
                        file.write(chunk)
                        show(received, name)
                if digest.hexdigest() != expected:
                    raise AeroactError(f"{url}: damaged, or not the file that {self.where} lists")
            if read_sums(part) != entry.files:
                raise AeroactError(f"{self.where}: {entry.name}: not what its {SUMS_FILE} says")

    @contextmanager
    def _writing(self, path: Path) -> Iterator[IO[bytes]]:
        try:
            with path.open("wb") as file:
                yield file
        except OSError as error:
            raise AeroactError(
                f"{self._cache}: cannot keep {self.where} here ({error.strerror}); "
                "XDG_CACHE_HOME names another place"
            ) from error


def open_zoo(zoo: str | Path | None = None) -> Zoo:
    """Open a zoo.

    Parameters
    ----------
    zoo : str or Path, optional
        A folder of bundles, or the https address of an `index.json` beside them; by default what
        the environment variable AEROACT_ZOO names, and else the zoo of this package.

    Raises
    ------
    AeroactError
        If it is neither.
    """
    chosen = os.environ.get(VARIABLE) or None if zoo is None else zoo
    if chosen is None:
        return FolderZoo(PACKAGED, "the zoo of this package")
    if isinstance(chosen, str) and "://" in chosen:
        return WebZoo(chosen)
    if not str(chosen):
        raise AeroactError("the zoo has no name; leave it out for that of this package")
    return FolderZoo(Path(chosen).expanduser())


def find(
    name_or_bundle: str | Path,
    zoo: str | Path | None = None,
    progress: "ProgressBar | None" = None,
) -> Path:
    """Return the folder of an emulator's bundle.

    Parameters
    ----------
    name_or_bundle : str or Path
        A path, or a text with a slash, is a folder. A bare name is an emulator of the zoo or, if
        there is none of that name, a folder here.
    zoo : str or Path, optional
        See `open_zoo`.
    progress : ProgressBar, optional
        Shows a download.

    Raises
    ------
    AeroactError
        If there is no such emulator, or it is not the one of the zoo's index.
    """
    if isinstance(name_or_bundle, Path) or os.sep in name_or_bundle:
        return Path(name_or_bundle)
    name, opened = name_or_bundle, open_zoo(zoo)
    folder = opened.bundle(name, progress)
    if folder is None and name and Path(name).is_dir():
        folder = Path(name)
    if folder is None:
        names = opened.names()
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise AeroactError(
            f"{name}: neither an emulator of {opened.where}, which has "
            f"{', '.join(names) or 'none'}, nor a folder here{hint}"
        )
    return folder


def load(name_or_bundle: str | Path, threads: int = 1, zoo: str | Path | None = None) -> Emulator:
    """Verify and open an emulator.

    Parameters
    ----------
    name_or_bundle : str or Path
        Its name in the zoo, or the folder of a bundle; see `find`.
    threads : int
        Threads of ONNX Runtime.
    zoo : str or Path, optional
        A folder of bundles, or the https address of an `index.json` beside them; by default what
        the environment variable AEROACT_ZOO names, and else the zoo of this package.

    Raises
    ------
    AeroactError
        If there is no such emulator, a file of it is missing or is not the one that was
        released, or the schema is another.
    """
    return open_bundle(find(name_or_bundle, zoo), threads)


def copy_bundle(folder: Path, out: Path) -> None:
    """Copy a bundle, whole or not at all.

    Parameters
    ----------
    folder : Path
        The bundle.
    out : Path
        Its new folder. A bundle that is there is replaced.

    Raises
    ------
    AeroactError
        If the bundle is not whole, or something else than a bundle is at `out`.
    """
    verify_sums(folder)
    out = out.resolve()
    _require_replaceable(out)
    try:
        with replacing_folder(out) as part:
            for name in (*read_sums(folder), SUMS_FILE):
                (part / name).write_bytes((folder / name).read_bytes())
            verify_sums(part)
    except OSError as error:
        raise AeroactError(
            f"{out}: cannot be written ({error.strerror}); left as it was"
        ) from error


def _require_replaceable(out: Path) -> None:
    """See that only a bundle would be lost at a path."""
    if not out.exists():
        return
    if not out.is_dir():
        raise AeroactError(f"{out}: is a file; name a folder")
    there = {path.name for path in out.iterdir()}
    known = {*read_sums(out), SUMS_FILE} if SUMS_FILE in there else set()
    if others := sorted(there - known):
        raise AeroactError(
            f"{out}: has what is not of a bundle ({', '.join(others[:3])}); name another folder"
        )


def write_index(folder: Path) -> list[Entry]:
    """Write the index of a folder of bundles; returns what it lists.

    Raises
    ------
    AeroactError
        If a bundle is not whole, or its card lacks what an index says.
    """
    if not folder.is_dir():
        raise AeroactError(f"{folder}: no such folder")
    entries = [_describe(bundle) for bundle in _bundles(folder)]
    index = {"index_version": INDEX_VERSION, "emulators": [asdict(entry) for entry in entries]}
    write_text(folder / INDEX_FILE, json.dumps(index, indent=1, allow_nan=False) + "\n")
    return entries


def _bundles(folder: Path) -> list[Path]:
    """Return the bundles in a folder, those that are not whole too."""
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".")
        and any((path / name).is_file() for name in (SUMS_FILE, CARD_FILE, ONNX_FILE))
    )


def _describe(folder: Path) -> Entry:
    """Return what an index says of a bundle."""
    verify_sums(folder)
    files = read_sums(folder)
    card = read_card(folder)
    try:
        in_fortran = bool(stated(card, "cost").get("fortran"))
        cost = "cost.fortran.fastest" if in_fortran else "cost"
        return Entry(
            name=folder.name,
            sums_sha256=sha256(folder / SUMS_FILE),
            files=files,
            bytes=sum((folder / name).stat().st_size for name in (*files, SUMS_FILE)),
            nodes=stated(card, "network.nodes"),
            params=stated(card, "network.params"),
            mse=stated(card, "holdout.mse"),
            multiple_of_arg2000=stated(card, f"{cost}.multiple_of_arg2000"),
            timed_in="Fortran" if in_fortran else "Python",
            schema_version=stated(card, "schema_version"),
        )
    except (AeroactError, AttributeError, ValueError) as error:
        raise AeroactError(f"{folder}: no index can list it ({error})") from error


def _read_index(content: bytes, where: str) -> dict[str, Entry]:
    """Return the entries of an index by name.

    Raises
    ------
    AeroactError
        If it is no index, or one of another version.
    """
    try:
        index = json.loads(content)
        version = index["index_version"]
        if version != INDEX_VERSION:
            raise AeroactError(
                f"{where}: has index version {version!r:.20}; this aeroact reads {INDEX_VERSION}"
            )
        fields = Entry.__dataclass_fields__
        entries = [Entry(**{f: record[f] for f in fields}) for record in index["emulators"]]
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else error
        raise AeroactError(f"{where}: not the index of a zoo ({what})") from error
    found = {entry.name: entry for entry in entries}
    if len(found) < len(entries):
        raise AeroactError(f"{where}: not the index of a zoo (a name is there twice)")
    return found


def _cache() -> Path:
    """Return where bundles from behind https are kept."""
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "aeroact" / "zoo"
    except RuntimeError as error:
        raise AeroactError("there is no home folder; set XDG_CACHE_HOME") from error


@contextmanager
def _in_turn(folder: Path) -> Iterator[None]:
    """Wait until no other process is at work in a folder: many ranks may load at once."""
    make_folder(folder)
    with (folder / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
