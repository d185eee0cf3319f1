"""The search space: what it holds, how it is drawn, how KerasTuner sees it."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeroact.hpo import space
from aeroact.hpo.choices import WIDTHS
from aeroact.hpo.space import Candidate, Space, candidate_of, n_params, values_of

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


candidates = st.builds(
    Candidate,
    widths,
    st.none() | st.sampled_from([1e-4, 1e-3]),
    st.none() | st.sampled_from([256, 1024]),
)


@given(candidates)
def test_a_candidate_survives_the_way_through_kerastuner(candidate):
    assert candidate_of(values_of(candidate)) == candidate


@settings(max_examples=25)
@given(seed=st.integers(0, 2**31), low=st.integers(1, 4), extra=st.integers(0, 4))
def test_drawn_networks_lie_in_the_space_and_differ(seed, low, extra):
    space = Space(min_layers=low, max_layers=low + extra, max_params=10**6)
    drawn = [c.widths for c in islice(space.draw(seed), 30 if low > 1 else 9)]
    assert len(set(drawn)) == len(drawn)
    for nodes in drawn:
        assert low <= len(nodes) <= low + extra
        assert set(nodes) <= set(WIDTHS)
        assert n_params(nodes) <= 10**6


def test_same_seed_same_sequence_and_another_seed_another():
    one, again, other = (list(islice(Space().draw(seed), 20)) for seed in (5, 5, 6))
    assert one == again
    assert one != other


def test_layers_and_widths_are_uniform():
    """Chi-square at the 1e-6 level: a biased choice fails, chance does not."""
    drawn = [candidate.widths for candidate in islice(Space().draw(3), 4000)]
    layers = np.bincount([len(nodes) for nodes in drawn], minlength=21)[1:]
    # There are only 9, 81 and 729 networks of one to three layers, and none comes twice.
    assert layers[0] == len(WIDTHS)
    deep = layers[3:]
    assert ((deep - deep.mean()) ** 2 / deep.mean()).sum() < 65
    first = np.unique([nodes[0] for nodes in drawn if len(nodes) > 2], return_counts=True)[1]
    assert ((first - first.mean()) ** 2 / first.mean()).sum() < 45


def test_another_space_has_its_own_widths_and_settings():
    space = Space(1, 2, (10, 20), learning_rates=(1e-4, 1e-3), batch_sizes=(64,))
    drawn = list(islice(space.draw(1), 12))
    # 2 + 4 architectures, each with either learning rate.
    assert {c.widths for c in drawn} == {(a,) for a in (10, 20)} | {
        (a, b) for a in (10, 20) for b in (10, 20)
    }
    assert {(c.learning_rate, c.batch_size) for c in drawn} == {(1e-4, 64), (1e-3, 64)}
    assert len(set(drawn)) == 12


def test_an_exhausted_space_ends(monkeypatch):
    monkeypatch.setattr(space, "_MAX_DRAWS", 10_000)
    assert len(list(Space(max_layers=1).draw(1))) == len(WIDTHS)
    assert not list(Space(max_params=10).draw(1))


def test_kerastuner_counts_networks_that_are_the_same_once():
    """Unused widths must not make a difference: each exists only where its layer does."""
    hp = Space().declare()
    hp.values = values_of(Candidate((8, 16)))
    active = {name for name in hp.values if hp.is_active(name)}
    assert active == {"num_layers", "units_0", "units_1"}
    assert len(hp.space) == 21
