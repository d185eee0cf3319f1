"""Z-score normalization of the state, with an optional logarithm in front.

``z = (t - mean) / std`` with ``t = x`` (identity, as in Yu et al., 2024) or
``t = log(max(x, floor))``. The statistics are fitted on training rows only, travel
with the network, and stand inside the exported graph.

Every number is rounded to float32 when it is fitted: the graph computes in float32,
and a mean that float32 holds exactly loses nothing when it is subtracted there.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from aeroact.errors import AeroactError
from aeroact.files import write_text
from aeroact.schema import COLUMNS, N_INPUTS

Transform = Literal["identity", "log"]

PLAIN: tuple[Transform, ...] = tuple("identity" for _ in COLUMNS)
"""Yu et al. (2024): the z-score alone."""

_WIDE = ("wbar", "num_aer", "r_aer", "kappa_pcarbon")


def _transform(column: str) -> Transform:
    return "log" if column.startswith(_WIDE) else "identity"


LOG_WIDE: tuple[Transform, ...] = tuple(map(_transform, COLUMNS))
"""Log of the columns that span orders of magnitude: updraft, number, radius and the
hygroscopicity of primary carbon."""

LOG_KOEHLER: tuple[Transform, ...] = tuple(
    "log" if column.startswith("kappa") else transform
    for column, transform in zip(COLUMNS, LOG_WIDE, strict=True)
)
"""Log of these and of all hygroscopicities: in logarithms the critical supersaturation of a
particle, which goes with r^(-3/2) kappa^(-1/2) (Petters and Kreidenweis, 2007,
doi:10.5194/acp-7-1961-2007), is nearly linear."""

PRESETS: dict[str, tuple[Transform, ...]] = {
    "zscore": PLAIN,
    "log": LOG_WIDE,
    "koehler": LOG_KOEHLER,
}

# Below these a column has no effect on activation; they keep log finite at zero.
_FLOORS = {"wbar": 1e-2, "num_aer": 1e-6, "r_aer": 1e-4, "kappa": 1e-10}


def _floor(column: str) -> float:
    name = next((name for name in _FLOORS if column.startswith(name)), None)
    if name is None:
        raise AeroactError(f"{column}: no logarithm is defined for this column; use identity")
    return _FLOORS[name]


@dataclass(frozen=True)
class Normalization:
    """Statistics of the 16 columns of the state, in the order of `COLUMNS`.

    Attributes
    ----------
    transform : tuple of str
        ``identity`` or ``log`` for each column.
    floor : ndarray, shape (16,)
        Smallest value that enters a logarithm, in schema units; 0 without one.
    mean, std : ndarray, shape (16,)
        Of the transformed columns over the training rows (ddof = 0).
    low, high : ndarray, shape (16,)
        Smallest and largest training value, in schema units: the emulator's domain.
    """

    transform: tuple[Transform, ...]
    floor: NDArray[np.float32]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]

    @property
    def is_log(self) -> NDArray[np.bool_]:
        """Which columns go through the logarithm, shape (16,)."""
        return np.array([transform == "log" for transform in self.transform])

    def apply(self, x: NDArray[np.floating]) -> NDArray[np.float32]:
        """Turn states into network inputs.

        Parameters
        ----------
        x : ndarray, shape (n, 16)
            States in schema units.

        Returns
        -------
        ndarray of float32, shape (n, 16)
            Computed in float64 and rounded once.
        """
        z = (_transformed(x, self.is_log, self.floor) - self.mean) / self.std
        return z.astype(np.float32)

    def invert(self, z: NDArray[np.floating]) -> NDArray[np.float64]:
        """Turn network inputs back into states, shape (n, 16), in schema units.

        A value that `apply` raised to its floor comes back as the floor.
        """
        t = np.asarray(z, np.float64) * self.std + self.mean
        t[:, self.is_log] = np.exp(t[:, self.is_log])
        return t

    def to_json(self) -> str:
        """Return the statistics as JSON, one readable record a column."""
        records = [
            {
                "column": column,
                "transform": self.transform[j],
                # float() of a float32 is exact, so reading gives the same bits.
                **{name: float(getattr(self, name)[j]) for name in _STATISTICS},
            }
            for j, column in enumerate(COLUMNS)
        ]
        return json.dumps({"columns": records}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Normalization":
        """Read what `to_json` wrote.

        Raises
        ------
        AeroactError
            If it is not that, or is for other columns.
        """
        try:
            records = json.loads(text)["columns"]
            names = tuple(record["column"] for record in records)
            transform = tuple(record["transform"] for record in records)
            with np.errstate(over="ignore"):
                statistics = {
                    name: np.array([float(record[name]) for record in records]).astype(np.float32)
                    for name in _STATISTICS
                }
        except (KeyError, TypeError, ValueError) as error:
            raise AeroactError(f"not a normalization of aeroact ({error!r})") from error
        if names != COLUMNS:
            raise AeroactError(f"normalization is for columns {names}, not {COLUMNS}")
        for j, column in enumerate(COLUMNS):
            if transform[j] not in get_args(Transform):
                raise AeroactError(f"{column}: unknown transform {transform[j]!r}")
            if not all(np.isfinite(values[j]) for values in statistics.values()):
                raise AeroactError(f"{column}: a statistic is not finite")
            unfloored = transform[j] == "log" and statistics["floor"][j] <= 0
            if statistics["std"][j] <= 0 or unfloored:
                raise AeroactError(f"{column}: a standard deviation or a floor is not positive")
        return cls(transform, **statistics)

    def save(self, path: Path) -> None:
        """Write the statistics to a JSON file."""
        write_text(path, self.to_json())

    @classmethod
    def load(cls, path: Path) -> "Normalization":
        """Read the statistics from a JSON file.

        Raises
        ------
        AeroactError
            If the file cannot be read or holds something else.
        """
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise AeroactError(f"{path}: cannot read ({error.strerror})") from error
        except UnicodeDecodeError as error:
            raise AeroactError(f"{path}: not a normalization of aeroact ({error})") from error
        except AeroactError as error:
            raise AeroactError(f"{path}: {error}") from error


_STATISTICS = ("floor", "mean", "std", "low", "high")


def fit(
    blocks: Iterable[NDArray[np.floating]], transform: tuple[Transform, ...] = LOG_WIDE
) -> Normalization:
    """Fit the statistics in one pass over blocks of rows.

    Means and variances of the blocks are merged by the pairwise update of Chan,
    Golub and LeVeque (1983, doi:10.1080/00031305.1983.10483115), so that the result
    neither cancels digits nor depends, beyond rounding, on how rows are cut into blocks.

    Parameters
    ----------
    blocks : iterable of ndarray, shape (m, 16)
        Training rows in schema units.
    transform : tuple of str
        ``identity`` or ``log`` for each column.

    Returns
    -------
    Normalization
        A column that never varies gets a standard deviation of 1.

    Raises
    ------
    AeroactError
        If there are no rows, or a value is not finite.
    """
    is_log = np.array([name == "log" for name in transform])
    floor = np.array(
        [_floor(c) if log else 0.0 for c, log in zip(COLUMNS, is_log, strict=True)], np.float32
    )
    count, mean, square = 0, np.zeros(N_INPUTS), np.zeros(N_INPUTS)
    low, high = np.full(N_INPUTS, np.inf), np.full(N_INPUTS, -np.inf)
    for block in blocks:
        if len(block) == 0:
            continue
        finite = np.isfinite(block).all(axis=0)
        if not finite.all():
            column = COLUMNS[int(np.argmin(finite))]
            raise AeroactError(f"{column}: a training row is not finite; see aeroact-data check")
        t = _transformed(block, is_log, floor)
        m = len(t)
        block_mean = t.mean(axis=0)
        shift = block_mean - mean
        mean += shift * m / (count + m)
        square += ((t - block_mean) ** 2).sum(axis=0) + shift**2 * count * m / (count + m)
        count += m
        low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
    if count == 0:
        raise AeroactError("no training rows to fit the normalization on")

    std = np.sqrt(square / count)
    # Rounding noise of a constant column is not a scale.
    std[std <= 1e-7 * np.maximum(np.abs(mean), 1e-30)] = 1.0
    return Normalization(
        tuple(transform), floor, *(a.astype(np.float32) for a in (mean, std, low, high))
    )


def _transformed(
    x: NDArray[np.floating], is_log: NDArray[np.bool_], floor: NDArray[np.float32]
) -> NDArray[np.float64]:
    t = np.array(x, np.float64)
    t[:, is_log] = np.log(np.maximum(t[:, is_log], floor[is_log]))
    return t
