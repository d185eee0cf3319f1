r"""Make curves.json.gz: validation MSE by epoch of searches without pruning.

    aeroact-data generate -n 60000 --seed 3 --out data.nc
    aeroact-hpo step1 --data data.nc --trials 120 --p-subset 1 --max-params 20000 \
        --seed 1 --out runs/default
    aeroact-hpo step1 --data data.nc --trials 120 --p-subset 1 --max-params 20000 \
        --seed 3 --holdout 0.5 --epochs 30 --out runs/short
    aeroact-hpo step1 --data data.nc --trials 120 --p-subset 0.5 --max-params 50000 \
        --seed 4 --batch-size 256 --out runs/batches
    aeroact-hpo step1 --data data.nc --trials 120 --p-subset 1 --max-params 50000 \
        --seed 5 --max-layers 8 --batch-size 128 --learning-rate 0.003 --out runs/patience
    python tests/hpo/data/make_curves.py runs/default runs/short runs/batches \
        runs/patience
"""

import gzip
import json
import sys
from pathlib import Path

from aeroact.hpo.folder import RunFolder

HERE = Path(__file__).resolve().parent


def read(folder: RunFolder) -> dict[str, object]:
    """Return the most epochs, and the curves of all trials in the order of their numbers."""
    trials = sorted(folder.journal.finished(1).items())
    # Four digits are enough to tell the trials apart.
    curves = [[float(f"{value:.3e}") for value in trial.val_mse] for _, trial in trials]
    return {"epochs": folder.project().epochs, "curves": curves}


def main() -> None:
    """Read the runs that are named and write the file."""
    content = {Path(path).name: read(RunFolder(Path(path))) for path in sys.argv[1:]}
    text = json.dumps(content, separators=(",", ":"))
    (HERE / "curves.json.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main()
