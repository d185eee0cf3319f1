"""The finished parts of a long job, each a file that can tell whether it is whole.

A file holds rows as they are in memory and then their SHA-256 sum, so that whatever a
crash or a bad disk made of it, it gives the rows that were written or none.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aeroact.errors import AeroactError
from aeroact.files import replacing, write_text

_SUFFIX = ".shard"
_SUM_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True)
class Shards:
    """A folder of shards.

    Attributes
    ----------
    folder : Path
        Where they are.
    rows : int
        Rows of the whole job.
    size : int
        Rows of a shard; the last one has what is left.
    row : dtype
        Type of a row, with named fields.
    """

    folder: Path
    rows: int
    size: int
    row: np.dtype

    @property
    def starts(self) -> range:
        """First row of every shard."""
        return range(0, self.rows, self.size)

    def stop(self, start: int) -> int:
        """Return the row behind the last one of the shard that begins at `start`."""
        return min(start + self.size, self.rows)

    def path(self, start: int) -> Path:
        """Return the file of the shard that begins at `start`."""
        return self.folder / f"{start:012d}{_SUFFIX}"

    def claim(self, job: str) -> None:
        """Mark the folder as a job's, and remove what a killed process left half-written.

        Raises
        ------
        AeroactError
            If it holds shards of another job.
        """
        owner = owner_of(self.folder)
        if owner not in (None, job):
            raise AeroactError(
                f"{self.folder}: holds an unfinished job with other settings; finish it or "
                "remove it"
            )
        for file in self.folder.iterdir():
            # Shards without an owner are what is left of a folder whose removal was cut short.
            if ".part" in file.name or (owner is None and file.suffix == _SUFFIX):
                file.unlink()
        if owner is None:
            write_text(_record(self.folder), job)

    def finished(self) -> NDArray[np.bool_]:
        """Tell which shards there are, in the order of `starts`."""
        done = np.zeros(len(self.starts), bool)
        for file in self.folder.glob(f"*{_SUFFIX}"):
            if file.stem.isdecimal() and int(file.stem) in self.starts:
                done[int(file.stem) // self.size] = True
        return done

    def write(self, start: int, rows: NDArray) -> None:
        """Write a shard, whole or not at all."""
        content = rows.tobytes()
        with replacing(self.path(start)) as part, part.open("wb") as handle:
            handle.write(content)
            handle.write(hashlib.sha256(content).digest())

    def read(self, start: int) -> NDArray | None:
        """Return the rows of a shard, or None where it is missing or damaged."""
        try:
            data = self.path(start).read_bytes()
        except FileNotFoundError:
            return None
        content, checksum = data[:-_SUM_BYTES], data[-_SUM_BYTES:]
        whole = len(content) == (self.stop(start) - start) * self.row.itemsize
        if not whole or hashlib.sha256(content).digest() != checksum:
            return None
        return np.frombuffer(content, self.row)


def owner_of(folder: Path) -> str | None:
    """Return the job that claimed a folder of shards."""
    try:
        return _record(folder).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _record(folder: Path) -> Path:
    return folder / "job.json"
