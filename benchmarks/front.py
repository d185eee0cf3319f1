"""What stands in front of the network: what each way costs, and how many digits it keeps.

    python benchmarks/front.py [--json FILE]

Four forms of the same emulators, timed in turn on one core, and compared with float64 on
100,000 sampled states:

- nodes: mean and standard deviation as two nodes, Sub and Mul.
- deviation folded: the standard deviation is in the first kernel; what is exported.
- both folded: the mean is in the first bias, too.
- without the upper bounds: as exported, less the node Min.

The networks are random, their kernels 1.6 times as large as initial ones, so that their
fractions spread as those of trained networks do.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from aeroact.console import print_table
from aeroact.emulator import Emulator
from aeroact.export import bench, weights
from aeroact.export.convert import to_onnx
from aeroact.export.layers import OUTPUT, Layer, Layers
from aeroact.hpo.network import initial_weights
from aeroact.normalization import Normalization, fit
from aeroact.states import sample_rows

NETWORKS = ((32, 32, 32), (64, 64, 64), (512, 16, 1024))
EXPORTED = "deviation folded"
STATES = 100_000


def random_layers(widths: tuple[int, ...]) -> Layers:
    """Make a network whose fractions spread."""
    arrays = initial_weights(widths, [1])
    kernels, biases = arrays[::2], arrays[1::2]
    activations = ["relu"] * len(widths) + [OUTPUT]
    return tuple(
        Layer(kernel * np.float32(1.6), bias, activation)
        for kernel, bias, activation in zip(kernels, biases, activations, strict=True)
    )


def forms(layers: Layers, normalization: Normalization) -> dict[str, bytes]:
    """Return the forms of an emulator as ONNX files."""
    exported = to_onnx(layers, normalization, {})
    return {
        "nodes": _changed(exported, _unfold, layers, normalization),
        EXPORTED: exported,
        "both folded": _changed(exported, _fold, layers, normalization),
        "without the upper bounds": _changed(exported, _unbound, layers, normalization),
    }


def _changed(content: bytes, change: Any, layers: Layers, normalization: Normalization) -> bytes:
    import onnx

    model = onnx.load_from_string(content)
    change(model.graph, layers, normalization)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _set(graph: Any, name: str, values: NDArray[np.floating]) -> None:
    from onnx import numpy_helper

    constant = next(c for c in graph.initializer if c.name == name)
    constant.CopyFrom(numpy_helper.from_array(np.float32(values), name))


def _place(graph: Any, output: str) -> int:
    return next(i for i, node in enumerate(graph.node) if node.output[0] == output)


def _unfold(graph: Any, layers: Layers, normalization: Normalization) -> None:
    from onnx import helper, numpy_helper

    _set(graph, "kernel_1", layers[0].kernel)
    graph.initializer.append(numpy_helper.from_array(1 / normalization.std, "scale"))
    first = _place(graph, "preactivation_1")
    graph.node[first].input[0] = "z"
    graph.node.insert(first, helper.make_node("Mul", ["centred", "scale"], ["z"]))


def _fold(graph: Any, layers: Layers, normalization: Normalization) -> None:
    kernel = layers[0].kernel / normalization.std.astype(np.float64)[:, None]
    _set(graph, "bias_1", layers[0].bias - normalization.mean.astype(np.float64) @ kernel)
    sub = _place(graph, "centred")
    transformed = graph.node[sub].input[0]
    graph.node[_place(graph, "preactivation_1")].input[0] = transformed
    del graph.node[sub]


def _unbound(graph: Any, layers: Layers, normalization: Normalization) -> None:
    least = _place(graph, "clipped")
    for node in graph.node:
        if "clipped" in node.input:
            node.input[list(node.input).index("clipped")] = "raised"
    del graph.node[least]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    options = parser.parse_args()

    x = sample_rows(0, STATES, seed=4).astype(np.float32)
    normalization = fit([x])
    table = Table(title=f"us a sample on one core (and of what is exported), {STATES:,} states")
    table.add_column("network", no_wrap=True)
    table.add_column("front", no_wrap=True)
    for heading in ("batch 1", "batch 128", "batch 1024", "largest error", "99.9 %"):
        table.add_column(heading, justify="right", no_wrap=True)
    results = []
    for widths in NETWORKS:
        layers = random_layers(widths)
        files = forms(layers, normalization)
        truth = weights.evaluate(layers, normalization, x)
        report = bench.measure(files, x, (1, 128, 1024), figure_s4=False)
        for name, content in files.items():
            errors = np.abs(Emulator(content).predict(x) - truth)
            cells = []
            for batch, timing in report.timings[name].items():
                ratio = timing.median / report.timings[EXPORTED][batch].median
                cells.append(f"{timing.median:.3f} ({ratio:.2f})")
                results.append(
                    {"nodes": widths, "front": name, "batch": batch, "us": timing.median}
                    | {"ratio": ratio, "largest_error": float(errors.max())}
                    | {"p999": float(np.quantile(errors, 0.999))}
                )
            largest, p999 = f"{errors.max():.1e}", f"{np.quantile(errors, 0.999):.1e}"
            table.add_row("-".join(map(str, widths)), name, *cells, largest, p999)
    print_table(table)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
