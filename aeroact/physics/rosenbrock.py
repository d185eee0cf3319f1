"""Coefficients of ROS34PW2, the Rosenbrock-W method that integrates the parcel.

Four stages, order 3 with an embedded order 2, L-stable and stiffly accurate.  As a W-method it
keeps its order with an inexact Jacobian, so the parcel model may leave out the slow couplings
and solve each stage in a time proportional to the number of bins.

A step from ``y`` over ``h`` solves, for each stage ``i``,

    (1 / (GAMMA h) - J) u_i = f(y + sum_j A[i, j] u_j) + sum_j C[i, j] u_j / h,

and ends at ``y + sum_i M[i] u_i`` with the error estimate ``sum_i E[i] u_i``.  This form, which
needs no product with the Jacobian, follows from the published coefficients by a change of
variables (Hairer and Wanner, 1996, section IV.7, doi:10.1007/978-3-642-05221-7).

References
----------
Rang, J., and L. Angermann, 2005: New Rosenbrock W-methods of order 3 for partial differential
algebraic equations of index 1. BIT Numerical Mathematics 45, 761-787,
doi:10.1007/s10543-005-0035-y, table 4.2.
"""

from typing import Final

import numpy as np

GAMMA: Final = 4.3586652150845900e-01

STAGES: Final = np.array(
    [
        [0.0, 0.0, 0.0, 0.0],
        [8.7173304301691801e-01, 0.0, 0.0, 0.0],
        [8.4457060015369423e-01, -1.1299064236484185e-01, 0.0, 0.0],
        [0.0, 0.0, 1.0, 0.0],
    ]
)
"""The published alpha: where each stage evaluates the tendency."""

IMPLICIT: Final = np.array(
    [
        [GAMMA, 0.0, 0.0, 0.0],
        [-8.7173304301691801e-01, GAMMA, 0.0, 0.0],
        [-9.0338057013044082e-01, 5.4180672388095326e-02, GAMMA, 0.0],
        [2.4212380706095346e-01, -1.2232505839045147e00, 5.4526025533510214e-01, GAMMA],
    ]
)
"""The published gamma: how each stage enters the linear system."""

WEIGHTS: Final = STAGES[3] + IMPLICIT[3]
"""The published b, of order 3: stiffly accurate, hence the sum of the last rows."""

EMBEDDED: Final = np.array(
    [3.7810903145819369e-01, -9.6042292212423178e-02, 0.5, 2.1793326075422950e-01]
)
"""The published b-hat, of order 2."""

_INVERSE = np.linalg.inv(IMPLICIT)

A: Final = STAGES @ _INVERSE
C: Final = np.eye(4) / GAMMA - _INVERSE
M: Final = WEIGHTS @ _INVERSE
E: Final = (WEIGHTS - EMBEDDED) @ _INVERSE
