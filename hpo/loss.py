"""What a training minimizes: the mean squared error, and two terms of physics that may be added.

With p_i the predicted and fn_i the true fraction of mode i, s_i the share of that mode in the
aerosol number of the state, and p'_i the prediction for the same state in a stronger updraft,

    loss = mean of (p_i - fn_i)^2 over rows and modes
         + droplet_weight * mean of (sum_i s_i (p_i - fn_i))^2 over rows
         + monotony_weight * mean of (max(p_i - p'_i, 0) / STEP)^2 over rows and modes

The second term is the squared error of the droplet number as a fraction of the aerosol number:
a climate model's clouds see the modes' sum N_i fn_i, in which errors may cancel or add up.

The third one is a penalty on fractions that fall when the updraft rises, which those of a parcel
never do.  The division makes it the square of a slope, that along the normalized updraft where it
is negative: the weight then means the same for any small step.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeroact.dataset import BLOCK
from aeroact.normalization import Normalization
from aeroact.schema import N_INPUTS, N_OUTPUTS, NUM_AER, WBAR, column_slice

STEP = 0.1
"""From an updraft to the stronger one, in standard deviations of the normalized updraft."""

# Of particles (cm-3): without any, a state has no shares, rather than those of rounding.
_FEWEST = 1e-6


@dataclass(frozen=True)
class Loss:
    """The weights of the terms beside the mean squared error; without them, it is alone.

    Attributes
    ----------
    droplet_weight : float
        Of the error of the droplet number; it needs `mode_shares`.
    monotony_weight : float
        Of the penalty on fractions that fall when the updraft rises; it doubles the rows that
        are predicted in a training.
    """

    droplet_weight: float = 0.0
    monotony_weight: float = 0.0

    def states(self, x: Any) -> Any:
        """Return what is to be predicted: a batch (n, 16) and, if need be, a copy, shape (2n, 16).

        The copy comes last, and has the stronger updraft.
        """
        import tensorflow as tf

        if not self.monotony_weight:
            return x
        step = np.zeros(N_INPUTS, np.float32)
        step[column_slice(WBAR)] = STEP
        return tf.concat([x, x + step], axis=0)

    def compare(self, predicted: Any, fn: Any, shares: Any) -> tuple[Any, Any]:
        """Hold predictions against the truth.

        Parameters
        ----------
        predicted : tensor, shape (n, 4) or (2n, 4)
            For what `states` returned.
        fn : tensor, shape (n, 4)
            True fractions of the batch.
        shares : tensor, shape (n, 4), or None
            Of the batch, from `mode_shares`; None without a droplet weight.

        Returns
        -------
        error : tensor, shape (n, 4)
            By how much the predictions for the batch are too large.
        slope : tensor, shaped like `predicted`
            Derivative of the loss by the predictions.
        """
        import tensorflow as tf

        now, faster = tf.split(predicted, 2) if self.monotony_weight else (predicted, None)
        error = now - fn
        scale = 2.0 / tf.cast(tf.raw_ops.Size(input=error), tf.float32)
        slope = error * scale
        if self.droplet_weight:
            droplets = tf.reduce_sum(shares * error, axis=1, keepdims=True)
            # A mean over rows alone has a divisor that is four times smaller.
            slope += shares * droplets * (self.droplet_weight * N_OUTPUTS * scale)
        if self.monotony_weight:
            fall = tf.nn.relu(now - faster) * (self.monotony_weight / STEP**2 * scale)
            slope = tf.concat([slope + fall, -fall], axis=0)
        return error, slope


def mode_shares(x: NDArray[np.float32], normalization: Normalization) -> NDArray[np.float32]:
    """Return the share of each mode in the aerosol number of a state.

    Parameters
    ----------
    x : ndarray of float32, shape (n, 16)
        Normalized states.
    normalization : Normalization
        Of these.

    Returns
    -------
    ndarray of float32, shape (n, 4)
        Of sum 1, or all zero for a state without particles.
    """
    shares = np.empty((len(x), N_OUTPUTS), np.float32)
    for start in range(0, len(x), BLOCK):
        rows = slice(start, start + BLOCK)
        # What was zero may come back slightly negative.
        number = np.maximum(normalization.invert(x[rows])[:, column_slice(NUM_AER)], 0.0)
        total = number.sum(axis=1, keepdims=True)
        shares[rows] = number / np.where(total < _FEWEST, np.inf, total)
    return shares
