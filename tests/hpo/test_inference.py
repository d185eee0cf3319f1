"""The forward pass that is timed is that of the network."""

import numpy as np
import pytest

from aeroact.hpo import inference, network
from aeroact.hpo.backend import load_backend


def test_what_is_timed_is_the_networks_prediction():
    load_backend()
    weights = network.initial_weights((32, 8), [1])
    z = np.random.default_rng(0).normal(size=(50, 16)).astype(np.float32)
    expected = network.predict(network.build((32, 8), weights), z)
    np.testing.assert_allclose(inference._forward(weights, z, "relu"), expected, atol=1e-6)


@pytest.mark.filterwarnings("error")
def test_extreme_outputs_raise_no_warning():
    weights = network.initial_weights((8,), [1])
    weights[-1][:] = -1e4
    assert inference.measure(weights) > 0
