"""Hexagonal bins against matplotlib's, in one go and block by block."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from aeroact.hpo.report.hexagons import _DOWN, ACROSS, OUTLINE, Hexagons

SIDES = st.lists(
    st.tuples(*(st.floats(0, 1, allow_subnormal=False) | st.sampled_from([0.0, 0.5, 1.0]),) * 2),
    min_size=1,
    max_size=60,
)


def of_matplotlib(x: np.ndarray, y: np.ndarray) -> dict[tuple[float, float], int]:
    grid = (ACROSS, _DOWN)
    bins = Figure().subplots().hexbin(x, y, gridsize=grid, extent=(0, 1, 0, 1), mincnt=1)
    centres, counts = np.asarray(bins.get_offsets()), np.asarray(bins.get_array())
    return {
        (float(a), float(b)): int(n) for (a, b), n in zip(np.round(centres, 6), counts, strict=True)
    }


def ours(hexagons: Hexagons) -> dict[tuple[float, float], int]:
    x, y, count = hexagons.bins
    return {
        (float(a), float(b)): int(n)
        for a, b, n in zip(np.round(x, 6), np.round(y, 6), count, strict=True)
    }


@given(SIDES)
def test_no_point_is_lost_at_an_edge(points):
    x, y = np.array(points).T
    hexagons = Hexagons()
    hexagons.add(x, y)
    centres_x, centres_y, count = hexagons.bins
    assert count.sum() == len(points)
    assert np.all((centres_x >= 0) & (centres_x <= 1) & (centres_y >= 0) & (centres_y <= 1))


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_bins_are_those_of_matplotlib(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.beta(0.5, 0.5, (2, 2_000))
    hexagons = Hexagons()
    hexagons.add(x, y)
    assert ours(hexagons) == of_matplotlib(x, y)


def test_blocks_add_up():
    x, y = np.random.default_rng(1).uniform(size=(2, 5_000))
    whole, blocks = Hexagons(), Hexagons()
    whole.add(x, y)
    for part in np.array_split(np.arange(5_000), 7):
        blocks.add(x[part], y[part])
    assert ours(whole) == ours(blocks)


def test_a_point_belongs_to_the_nearest_centre():
    rng = np.random.default_rng(2)
    for x, y in rng.uniform(0.1, 0.9, (200, 2)):
        hexagons = Hexagons()
        hexagons.add(np.array([x]), np.array([y]))
        (a,), (b,), _ = hexagons.bins
        # In units in which the hexagons are regular, the centre is at most a corner away.
        assert abs(a - x) <= 0.5 / ACROSS + 1e-12
        assert abs(b - y) <= 1 / (3 * _DOWN) + 1e-12


def test_outlines_fill_the_plane():
    x, y = OUTLINE.T
    area = 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))
    # Two hexagons to a cell of the lattice.
    np.testing.assert_allclose(2 * area, 1 / (ACROSS * _DOWN))
