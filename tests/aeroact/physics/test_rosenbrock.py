"""The order conditions of a Rosenbrock-W method: Rang and Angermann (2005), section 2."""

import numpy as np
import pytest

from aeroact.physics.rosenbrock import EMBEDDED, GAMMA, IMPLICIT, STAGES, WEIGHTS, A, C, E, M

EXPLICIT = STAGES.sum(axis=1)
SHIFT = IMPLICIT.sum(axis=1)


@pytest.mark.parametrize(
    ("sum_", "value"),
    [
        (WEIGHTS.sum(), 1.0),
        (WEIGHTS @ EXPLICIT, 1.0 / 2.0),
        (WEIGHTS @ SHIFT, 0.0),
        (WEIGHTS @ EXPLICIT**2, 1.0 / 3.0),
        (WEIGHTS @ STAGES @ EXPLICIT, 1.0 / 6.0),
        (WEIGHTS @ STAGES @ SHIFT, 0.0),
        (WEIGHTS @ IMPLICIT @ EXPLICIT, 0.0),
        (WEIGHTS @ IMPLICIT @ SHIFT, 0.0),
        (EMBEDDED.sum(), 1.0),
        (EMBEDDED @ EXPLICIT, 1.0 / 2.0),
        (EMBEDDED @ SHIFT, 0.0),
    ],
)
def test_order_conditions(sum_, value):
    assert sum_ == pytest.approx(value, abs=1e-14)


def solve(step_count, slope_known):
    """y' = -50 (y - cos t), y(0) = 0, to t = 1, with the right or a wrong Jacobian."""
    h = 1.0 / step_count
    slope = -50.0 if slope_known else -30.0
    y = np.array([0.0, 0.0])  # y and t
    jacobian = np.array([[slope, 0.0], [0.0, 0.0]])
    system = np.eye(2) / (GAMMA * h) - jacobian

    def tendency(state):
        return np.array([-50.0 * (state[0] - np.cos(state[1])), 1.0])

    for _ in range(step_count):
        u = np.zeros((4, 2))
        for k in range(4):
            u[k] = np.linalg.solve(system, tendency(y + A[k] @ u) + C[k] @ u / h)
        y = y + M @ u
    return y[0], abs(E @ u)[0]


@pytest.mark.parametrize("slope_known", [True, False])
def test_third_order_even_with_a_wrong_jacobian(slope_known):
    exact = (2500.0 * np.cos(1.0) + 50.0 * np.sin(1.0) - 2500.0 * np.exp(-50.0)) / 2501.0
    errors = [abs(solve(n, slope_known)[0] - exact) for n in (400, 800)]
    assert 2.7 < np.log2(errors[0] / errors[1]) < 3.5
    estimate = solve(400, slope_known)[1]
    assert errors[0] < 100.0 * estimate
