"""What the released emulators cost, and ARG2000 beside them, in one run of compiled Fortran.

    python benchmarks/zoo.py [--zoo ZOO] [--batch N] [--flags=FLAGS] [--json FILE]

From schema units to fractions on one core: clipping, logarithms and z-score included, by the
Fortran library's own kernel and by ONNX Runtime called from Fortran.  Everything is compiled with
the same flags and timed in turn, round after round; medians are shown, and multiples of ARG2000's.
"""

import argparse
import json
from pathlib import Path

from rich.table import Table

from aeroact import zoo
from aeroact.console import print_table, progress
from aeroact.emulator import read_card
from aeroact.export import native
from aeroact.export.sources import onnx_of
from aeroact.states import sample_rows

SEED = 1
STATES = 20_000


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--zoo", help="folder or address; the package's own by default")
    parser.add_argument("--batch", type=int, default=1024, help="states a call")
    parser.add_argument("--flags", default=native.FLAGS, help="of gfortran")
    parser.add_argument("--json", type=Path, help="where to write the times")
    options = parser.parse_args()

    bundles = [zoo.find(name, options.zoo) for name in zoo.open_zoo(options.zoo).names()]
    cards = {bundle.name: read_card(bundle) for bundle in bundles}
    names = sorted(cards, key=lambda name: cards[name]["network"]["params"])
    with progress("rounds", native.UNITS) as show:
        report = native.measure(
            onnx_of(bundles),
            sample_rows(0, STATES, SEED),
            [options.batch],
            flags=options.flags,
            progress=show,
        )

    table = Table(title=f"Batch {options.batch:,}, {report.compiler} {report.flags}")
    table.add_column("emulator")
    for heading in ("parameters", "MSE", *(f"us, {backend}" for backend in native.BACKENDS)):
        table.add_column(heading, justify="right")
    table.add_column("faster one / ARG2000", justify="right")
    for name in names:
        times = report.timings[name]
        fastest = report.fastest(name, options.batch)
        table.add_row(
            name,
            f"{cards[name]['network']['params']:,}",
            f"{cards[name]['holdout']['mse']:.2e}",
            *(
                f"{times[b][options.batch].median:.3f}" if b in times else ""
                for b in native.BACKENDS
            ),
            f"{report.multiple(name, fastest, options.batch):.2f}",
        )
    mse = cards[names[0]]["arg2000"]["mse"]
    table.add_row("ARG2000", "", f"{mse:.2e}", f"{report.arg2000.median:.3f}", "", "1")
    print_table(table)
    print(report.machine)
    if options.json:
        options.json.write_text(json.dumps(report.as_dict(), indent=1) + "\n")


if __name__ == "__main__":
    main()
