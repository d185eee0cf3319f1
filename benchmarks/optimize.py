"""What `aeroact-export --optimize` gains on every network of a run, and what it costs.

    python benchmarks/optimize.py [RUN] [--batch N] [--json FILE]

All forms of a network are timed in turn on one core. The MSE is that of 100,000 holdout
states; the silent units are counted on as many training states.
"""

import argparse
import json
from pathlib import Path

from rich.table import Table

from aeroact.console import print_table
from aeroact.export import optimize
from aeroact.export.convert import layers_of
from aeroact.export.run import networks
from aeroact.hpo import network
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.holdout import Holdout

STATES = 100_000


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, nargs="?", default=Path("runs/default"))
    parser.add_argument("--batch", type=int, default=1024, help="states a call")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    options = parser.parse_args()

    folder = RunFolder(options.run)
    holdout, normalization = Holdout(folder), folder.normalization()
    (x, fn), training = holdout.first(STATES), holdout.training(STATES)
    table = Table(title=f"Forms of the networks of {options.run}, batch {options.batch}")
    table.add_column("nodes")
    table.add_column("form", no_wrap=True)
    for heading in ("parameters", "time", "MSE grows by", "fn changes by", "at corners"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    results = {}
    for trial in networks(folder):
        layers = layers_of(network.load(folder.model(trial.name)))
        variants = optimize.try_all(layers, normalization, {}, x, fn, training, batch=options.batch)
        records = results[trial.name] = optimize.records(variants)
        for record in records:
            if record["mse_growth"] is None:
                continue
            table.add_row(
                ", ".join(map(str, record["nodes"])) if record["verdict"] == "taken" else "",
                record["name"],
                f"{record['params']:,}",
                f"{record['relative_time']:.2f}",
                f"{record['mse_growth']:.1e}",
                f"{record['largest_difference']:.1e}",
                f"{record['difference_at_corners']:.1e}",
                record["verdict"],
            )
        table.add_section()
    print_table(table)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
