"""Is an emulator of a zoo what it says it is? Files, fractions, and error on new parcels."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aeroact.console import ProgressBar, no_progress
from aeroact.emulator import (
    ONNX_FILE,
    SUMS_FILE,
    Emulator,
    open_bundle,
    read_sums,
    require_fractions,
    verify_sums,
)
from aeroact.errors import AeroactError
from aeroact.zoo import find


@dataclass(frozen=True)
class Finding:
    """What one check of an emulator found.

    Attributes
    ----------
    emulator, check : str
        Their names.
    ok : bool or None
        Whether it passed; None where it could not be made.
    text : str
        A sentence.
    """

    emulator: str
    check: str
    ok: bool | None
    text: str


def check(
    name: str | Path,
    zoo: str | Path | None = None,
    *,
    parcels: int = 2000,
    seed: int = 0,
    progress: ProgressBar = no_progress,
) -> list[Finding]:
    """Check an emulator.

    Parameters
    ----------
    name, zoo
        As of `zoo.find`.
    parcels : int
        States that are sampled and simulated, on which the error is measured anew; 0 for none.
    seed : int
        Of these states; training must not have used it.
    progress : ProgressBar
        Shows what takes long.

    Returns
    -------
    list of Finding
        Up to the first check without which there is nothing more to check.
    """
    found: list[Finding] = []

    def passes(title: str, look: Callable[[], str]) -> bool:
        try:
            found.append(Finding(str(name), title, True, look()))
        except _LeftOut as reason:
            found.append(Finding(str(name), title, None, str(reason)))
        except AeroactError as error:
            found.append(Finding(str(name), title, False, " ".join(str(error).split())))
        return found[-1].ok is not False

    opened: list[Emulator] = []

    def sums() -> str:
        folder = find(name, zoo, progress)
        text = _sums(folder)
        opened.append(open_bundle(folder))
        return text

    if passes("files", sums):
        passes("fractions", lambda: _fractions(opened[0]))
        if parcels:
            passes("parcels", lambda: _parcels(opened[0], parcels, seed, progress))
    return found


class _LeftOut(Exception):
    """Why a check cannot be made."""


def _sums(folder: Path) -> str:
    verify_sums(folder)
    listed = read_sums(folder).keys() | {SUMS_FILE}
    if extra := sorted({path.name for path in folder.iterdir()} - listed):
        raise AeroactError(f"{folder}: {SUMS_FILE} does not know {', '.join(extra)}")
    return f"all {len(listed)} are those that were released"


def _fractions(emulator: Emulator) -> str:
    try:
        require_fractions(emulator)
    except AeroactError as error:
        raise AeroactError(f"{ONNX_FILE}: {error}") from error
    return "within [0, 1] for the most extreme states"


def _parcels(emulator: Emulator, n: int, seed: int, progress: ProgressBar) -> str:
    # With Numba and SciPy; whoever wants no parcels does not wait for them.
    from aeroact import suitability
    from aeroact.states import sample_rows

    stated, truth = suitability.holdout_mse(emulator.card), suitability.truth_of(emulator.card)
    job = suitability.job_of(emulator.card)
    if job is None or job.get("states") != "sampled":
        raise _LeftOut(
            "its training states were not sampled by aeroact, so that new ones cannot be; "
            "measure it on some with --states"
        )
    if job.get("seed") == seed:
        raise AeroactError(f"seed {seed} is that of its training states; choose another")
    x = sample_rows(0, n, seed).astype(np.float32)
    with progress("Parcels", n, unit="parcels", after=2.0) as show:
        simulated = truth.simulate(x, show)
    x, fn = x[simulated.ok], simulated.fn[simulated.ok]
    if len(x) < suitability.FEW:
        raise _LeftOut(f"only {len(x)} of {n} parcels have an answer; take more with --parcels")
    errors = suitability.measure(fn, emulator.predict(x))
    text = (
        f"MSE {errors.mse:.2e} +- {errors.standard_error:.1e} on {len(x):,} new ones (seed {seed}, "
        f"{truth.text}); the card says {stated:.2e}"
    )
    if errors.exceeds(stated):
        raise AeroactError(f"{text}: more than sampling explains")
    return text
