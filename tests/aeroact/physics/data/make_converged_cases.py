"""Make `converged_cases.csv`: sampled states and their activated fractions, converged.

    python tests/aeroact/physics/data/make_converged_cases.py

The fractions are aeroact's own, with eight times the bins and a hundredth of the tolerance of the
defaults; they are NaN where a parcel has no answer.  Make the file again when the physics of the
preset `default` changes, and only then: `test_accuracy.py` must hold before and after.
"""

from pathlib import Path

import numpy as np

import aeroact
from aeroact.physics.parcel import simulate
from aeroact.schema import COLUMNS, OUTPUTS, split_state
from aeroact.states import sample_rows

COUNT = 300
SEED = 23
BINS, RTOL = 400, 1e-6


def main() -> None:
    """Write the file beside this script."""
    # Six digits of every state, so that the file holds exactly what was solved.
    rows = np.array([[float(f"{v:.6g}") for v in row] for row in sample_rows(0, COUNT, SEED)])
    fn = simulate(*split_state(rows).values(), bins=BINS, rtol=RTOL).fn
    lines = [
        f"# made by {Path(__file__).name}: aeroact {aeroact.__version__}, seed {SEED}, "
        f"{BINS} bins, rtol {RTOL:g}",
        ",".join((*COLUMNS, *OUTPUTS)),
    ]
    for row, fractions in zip(rows, fn, strict=True):
        lines.append(",".join([*(f"{v:.6g}" for v in row), *(f"{v:.7f}" for v in fractions)]))
    Path(__file__).with_name("converged_cases.csv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
