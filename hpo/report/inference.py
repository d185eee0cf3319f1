"""Figure S4: how long the networks of a search take on one core, beside ARG2000."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aeroact.console import Progress
from aeroact.hpo.choices import Activation
from aeroact.hpo.network import initial_weights
from aeroact.hpo.space import Architecture, n_params
from aeroact.schema import N_INPUTS, N_OUTPUTS
from aeroact.states import sample_rows
from aeroact.timing import (
    ARG2000_STATES,
    S4_BATCH,
    S4_SAMPLES,
    arg2000_kernel,
    in_batches,
    one_core,
    repeat,
    rows,
)

ARG2000 = "ARG2000"

_SEED = 1

Network = tuple[Architecture, Activation]
"""What the time of a network depends on: nodes and function of its hidden layers."""


def measure(networks: Iterable[Network], progress: Progress | None = None) -> pd.DataFrame:
    """Time networks in ONNX Runtime, and ARG2000's compiled kernel, in turn on one core.

    The protocol is that of Yu et al. (2024, Figure S4): 100,000 samples in batches of 1,024,
    ten repetitions. The networks are timed alone, from normalized inputs, with weights drawn
    at random, on which the time does not depend.

    Parameters
    ----------
    networks : iterable of tuple
        Nodes and activation of the hidden layers of each.
    progress : Progress, optional
        Is told the finished repetitions, `S4_REPETITIONS` in all.

    Returns
    -------
    pandas.DataFrame
        A row for each network, by its ``nodes`` and ``activation``, and one for ARG2000:
        parameters, mean and standard deviation of the milliseconds for all samples, and the
        median's microseconds a sample.
    """
    states = sample_rows(0, ARG2000_STATES, _SEED)
    z = rows(np.random.default_rng(_SEED).normal(size=(S4_BATCH, N_INPUTS)), S4_SAMPLES)
    distinct = list(dict.fromkeys(networks))
    work: dict[Network | str, Any] = {
        (widths, activation): in_batches(
            session_of(initial_weights(widths, [_SEED]), activation), z, S4_BATCH
        )
        for widths, activation in distinct
    }
    work[ARG2000] = arg2000_kernel(states, S4_SAMPLES)
    for each in work.values():
        each()  # finds its memory
    with one_core():
        times = repeat(work, progress)
    table = pd.DataFrame(
        {
            "mean_ms": time.mean,
            "std_ms": time.std,
            "us_per_sample": 1e3 * time.median / S4_SAMPLES,
        }
        for time in times.values()
    )
    table.insert(0, "nodes", [*(", ".join(map(str, widths)) for widths, _ in distinct), ARG2000])
    table.insert(1, "activation", [*(activation for _, activation in distinct), None])
    params = pd.array([*(n_params(widths) for widths, _ in distinct), None], dtype="Int64")
    table.insert(2, "params", params)
    return table


def session_of(
    weights: list[NDArray[np.float32]], activation: Activation = "relu", threads: int = 1
) -> Any:
    """Return an ONNX Runtime session of a network alone: ``state`` [N, 16] to ``fn`` [N, 4].

    Parameters
    ----------
    weights : list of ndarray of float32
        Kernels and biases in turn, as Keras orders them.
    activation : str
        Of the hidden layers.
    threads : int
        That it may use; 0: one for each core.
    """
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, value = [], [], "state"
    n_layers = len(weights) // 2
    for layer in range(n_layers):
        kernel, bias = f"kernel{layer}", f"bias{layer}"
        arrays = zip((kernel, bias), weights[2 * layer : 2 * layer + 2], strict=True)
        constants += [numpy_helper.from_array(array, name) for name, array in arrays]
        last = layer == n_layers - 1
        out = "fn" if last else f"hidden{layer}"
        nodes.append(helper.make_node("Gemm", [value, kernel, bias], [f"sum{layer}"]))
        nodes.append(helper.make_node("Sigmoid" if last else "Relu", [f"sum{layer}"], [out]))
        value = out
        if activation == "relu2" and not last:
            value = f"square{layer}"
            nodes.append(helper.make_node("Mul", [out, out], [value]))
    graph = helper.make_graph(
        nodes,
        "activation",
        [helper.make_tensor_value_info("state", TensorProto.FLOAT, ["N", N_INPUTS])],
        [helper.make_tensor_value_info("fn", TensorProto.FLOAT, ["N", N_OUTPUTS])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
