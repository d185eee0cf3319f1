"""Even subsamples of a stream: as many rows from each stratum as it takes, and can give.

Each row has a key, a random number that depends on a seed and on the row alone.  Rank the
rows of a stratum by key: the sample is the first `n` of all rows by (rank, key).  So every
stratum gives the same number of rows, or all that it has.  The sample of a whole is that of its
parts' samples together: the stream may come in any order and in blocks of any size.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Rows = dict[str, NDArray]
"""Columns by name, the first axis of each being the rows; with `stratum` and `key`."""

_PENDING: Final = 1 << 19
"""Rows that are gathered before the sample is drawn anew."""


def keys(index: NDArray[np.integer], seed: int) -> NDArray[np.uint64]:
    """Return a random number for each row; distinct rows have distinct ones.

    The finalizer of SplitMix64 (Steele et al., 2014, doi:10.1145/2660193.2660195) is a
    bijection of 64-bit integers.

    Parameters
    ----------
    index : ndarray of int, shape (n,)
        Number of each row in the whole stream.
    seed : int
        Same seed, same keys.
    """
    mixed = index.astype(np.uint64) + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def evenly(stratum: NDArray[np.integer], key: NDArray[np.uint64], n: int) -> NDArray[np.intp]:
    """Choose rows evenly from strata.

    Parameters
    ----------
    stratum : ndarray of int, shape (m,)
        To which each row belongs.
    key : ndarray of uint64, shape (m,)
        Random order of the rows, see `keys`.
    n : int
        Rows to choose.

    Returns
    -------
    ndarray of int, shape (min(m, n),)
        The first ones by (rank in the stratum, key).
    """
    order = np.lexsort((key, stratum))
    place = np.arange(len(order))
    begins = np.diff(stratum[order], prepend=-1) != 0
    rank = np.empty(len(order), np.int64)
    rank[order] = place - np.maximum.accumulate(np.where(begins, place, 0))
    return np.lexsort((key, rank))[:n]


class Reservoir:
    """An even sample of all the rows that were added so far.

    Parameters
    ----------
    n : int
        Rows of the sample.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._parts: list[Rows] = []
        self._gathered = 0
        self._greatest = np.empty(0, np.uint64)  # key that still has a chance, by stratum

    def add(self, rows: Rows) -> None:
        """Add rows; each row of the stream once, in any order."""
        known = rows["stratum"] < len(self._greatest)
        hopeful = ~known
        hopeful[known] = rows["key"][known] <= self._greatest[rows["stratum"][known]]
        self._parts.append({name: values[hopeful] for name, values in rows.items()})
        self._gathered += int(np.count_nonzero(hopeful))
        if self._gathered > self._n + _PENDING:
            self._draw()

    def sample(self) -> Rows:
        """Return the sample, in the order of its `index`, and forget it."""
        self._draw()
        order = np.argsort(np.concatenate([part["index"] for part in self._parts]))
        # Column by column, so that there is never a second copy of all of them.
        columns = list(self._parts[0])
        return {
            name: np.concatenate([part.pop(name) for part in self._parts])[order]
            for name in columns
        }

    def _draw(self) -> None:
        stratum = np.concatenate([part["stratum"] for part in self._parts])
        key = np.concatenate([part["key"] for part in self._parts])
        chosen = evenly(stratum, key, self._n)
        if len(chosen) == self._n:
            self._greatest = _greatest_keys(stratum[chosen], key[chosen])
        kept = np.zeros(len(key), bool)
        kept[chosen] = True
        start = 0
        # Part by part, so that there is never a second copy of all of them.
        for i, part in enumerate(self._parts):
            rows = kept[start : start + len(part["key"])]
            self._parts[i] = {name: values[rows] for name, values in part.items()}
            start += len(rows)
        self._gathered = len(chosen)


def _greatest_keys(stratum: NDArray[np.integer], key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the greatest key, by stratum, with which a row could still enter a sample.

    The sample is in the order of (rank, key).  A row behind all of a stratum that has given
    the most rows would be of a rank that no stratum reaches.  Where a stratum has given one
    row less, it would be of the last rank, and must come before the last row of all.
    """
    gives = np.bincount(stratum)
    last = np.zeros(len(gives), np.uint64)
    np.maximum.at(last, stratum, key)
    most = gives.max()
    open_to_all = np.uint64(np.iinfo(np.uint64).max)
    one_less = np.where(gives == most - 1, np.maximum(last, key[-1]), open_to_all)
    return np.where(gives == most, last, one_less)
