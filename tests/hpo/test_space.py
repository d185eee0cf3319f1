"""The search space: what it holds, how it is drawn, how KerasTuner sees it."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeroact.errors import AeroactError
from aeroact.hpo import space
from aeroact.hpo.space import WIDTHS, architecture_of, architectures, n_params, values_of

widths = st.lists(st.sampled_from(WIDTHS), min_size=1, max_size=20).map(tuple)


@pytest.mark.parametrize(
    ("nodes", "params"),
    [
        # Rows of the paper's Table S1.
        ((512, 32, 1024, 512), 5.858e5),
        ((2048, 128, 256, 16, 2048, 512, 256), 1.550e6),
        ((512, 128, 512, 8, 1024, 8, 64, 64, 16, 32), 1.684e5),
    ],
)
def test_parameters_are_counted_as_in_the_paper(nodes, params):
    assert n_params(nodes) == pytest.approx(params, rel=5e-4)


@given(widths)
def test_an_architecture_survives_the_way_through_kerastuner(nodes):
    assert architecture_of(values_of(nodes)) == nodes


@settings(max_examples=25)
@given(seed=st.integers(0, 2**31), low=st.integers(1, 4), extra=st.integers(0, 4))
def test_drawn_networks_lie_in_the_space_and_differ(seed, low, extra):
    drawn = list(
        islice(
            architectures(seed, min_layers=low, max_layers=low + extra, max_params=10**6),
            30 if low > 1 else 9,
        )
    )
    assert len(set(drawn)) == len(drawn)
    for nodes in drawn:
        assert low <= len(nodes) <= low + extra
        assert set(nodes) <= set(WIDTHS)
        assert n_params(nodes) <= 10**6


def test_same_seed_same_sequence_and_another_seed_another():
    one, again, other = (list(islice(architectures(seed), 20)) for seed in (5, 5, 6))
    assert one == again
    assert one != other


def test_layers_and_widths_are_uniform():
    """Chi-square at the 1e-6 level: a biased choice fails, chance does not."""
    drawn = list(islice(architectures(3), 4000))
    layers = np.bincount([len(nodes) for nodes in drawn], minlength=21)[1:]
    # There are only 9, 81 and 729 networks of one to three layers, and none comes twice.
    assert layers[0] == len(WIDTHS)
    deep = layers[3:]
    assert ((deep - deep.mean()) ** 2 / deep.mean()).sum() < 65
    first = np.unique([nodes[0] for nodes in drawn if len(nodes) > 2], return_counts=True)[1]
    assert ((first - first.mean()) ** 2 / first.mean()).sum() < 45


def test_an_exhausted_space_says_so(monkeypatch):
    monkeypatch.setattr(space, "_MAX_DRAWS", 10_000)
    with pytest.raises(AeroactError, match="no more than 9 networks of 1 to 1 layers"):
        list(islice(architectures(1, max_layers=1), 10))


def test_kerastuner_counts_networks_that_are_the_same_once():
    """Unused widths must not make a difference: each exists only where its layer does."""
    hp = space.declare(1, 20)
    hp.values = values_of((8, 16))
    active = {name for name in hp.values if hp.is_active(name)}
    assert active == {"num_layers", "units_0", "units_1"}
    assert len(hp.space) == 21
