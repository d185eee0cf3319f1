"""The size of NetCDF files in the classic formats, by their own header.

The NetCDF library reads zeros where such a file was torn, without a word.  E3SM writes them.

References
----------
NetCDF classic format specification (CDF-1, CDF-2 and CDF-5), NetCDF User's Guide, appendix B.
"""

import errno
import math
import struct
from pathlib import Path
from typing import BinaryIO, Final

_ITEM_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}
"""Bytes of a value by the format's number of its type."""


def missing_bytes(path: Path) -> int:
    """Return how many bytes a file lacks at its end; 0 if it is not in a classic format.

    Raises
    ------
    OSError
        If it cannot be read, or ends within its header.
    """
    with path.open("rb") as file:
        magic = file.read(4)
        if magic not in (b"CDF\x01", b"CDF\x02", b"CDF\x05"):
            return 0
        end = _Header(file, magic[3]).end()
    return max(0, end - path.stat().st_size)


class _Header:
    """A reader of the header, field by field: sizes are of 8 bytes in CDF-5, else of 4."""

    def __init__(self, file: BinaryIO, version: int) -> None:
        self._file = file
        self._count = ">Q" if version == 5 else ">I"
        self._offset = ">I" if version == 1 else ">Q"

    def end(self) -> int:
        """Return where the last value of any variable ends."""
        records = self._number(self._count)
        if records == (1 << 8 * struct.calcsize(self._count)) - 1:
            return 0  # written as a stream: the number of records follows from the file's size
        dims = [self._dimension() for _ in range(self._list())]
        self._attributes()
        fixed_end, in_records = 0, []
        for _ in range(self._list()):
            shape, item, begin = self._variable(dims)
            if shape[:1] == [0]:
                in_records.append((begin, math.prod(shape[1:]) * item))
            else:
                fixed_end = max(fixed_end, begin + math.prod(shape) * item)
        # Each part of a record is padded to 4 bytes, unless there is only one.
        alone = len(in_records) == 1
        stride = sum(size if alone else _padded(size) for _, size in in_records)
        ends = [begin + (records - 1) * stride + size for begin, size in in_records if records]
        return max([fixed_end, *ends])

    def _number(self, form: str = ">I") -> int:
        data = self._bytes(struct.calcsize(form))
        return int(struct.unpack(form, data)[0])

    def _bytes(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) < size:
            raise OSError(errno.EIO, "its header is cut off")
        return data

    def _name(self) -> None:
        self._bytes(_padded(self._number(self._count)))

    def _list(self) -> int:
        self._number()  # a tag that says what follows
        return self._number(self._count)

    def _dimension(self) -> int:
        self._name()
        return self._number(self._count)

    def _attributes(self) -> None:
        for _ in range(self._list()):
            self._name()
            item = _ITEM_SIZES[self._number()]
            self._bytes(_padded(item * self._number(self._count)))

    def _variable(self, dims: list[int]) -> tuple[list[int], int, int]:
        """Return shape (0 for the records), bytes of a value, and where the values begin."""
        self._name()
        shape = [dims[self._number(self._count)] for _ in range(self._number(self._count))]
        self._attributes()
        item = _ITEM_SIZES[self._number()]
        self._number(self._count)  # its size, which may have overflowed
        return shape, item, self._number(self._offset)


def _padded(size: int) -> int:
    return -(-size // 4) * 4
