"""Hidden units that do nothing, and the network without them.

The exported graph clips every state to the physical bounds of the schema. Over that box
interval arithmetic bounds what every unit can be, and so proves that some are never
active. Together with units that are constant, unread or twins of others they leave
without a trace: the smaller network computes the same, up to float32 rounding.

Units that merely were silent on the data are another matter: nothing is proved, and the
caller has to measure what their loss costs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aeroact.export.convert import clip_bounds
from aeroact.export.layers import Layer, Layers, activated
from aeroact.normalization import Normalization

_ROUNDING = float(np.finfo(np.float32).eps)

_Interval = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass
class Removed:
    """How many hidden units left a network, by reason.

    Attributes
    ----------
    dead : int
        Never active on any state that the graph lets through.
    constant : int
        Fed by nothing; their value went into the next bias.
    unread : int
        Without a weight to the next layer.
    twins : int
        Equal to another unit, which took over their outgoing weights.
    """

    dead: int = 0
    constant: int = 0
    unread: int = 0
    twins: int = 0

    @property
    def units(self) -> int:
        """All of them."""
        return self.dead + self.constant + self.unread + self.twins

    def __str__(self) -> str:
        counts = {reason: count for reason, count in vars(self).items() if count}
        return ", ".join(f"{count} {reason}" for reason, count in counts.items()) or "none"


def prune(layers: Layers, normalization: Normalization) -> tuple[Layers, Removed]:
    """Take out every unit that provably does nothing, until none is left.

    Parameters
    ----------
    layers : Layers
        A network from normalized state to activated fraction.
    normalization : Normalization
        What stands in front of it.

    Returns
    -------
    Layers
        The same function of every state. A hidden layer without a unit that matters
        keeps one, of zeros.
    Removed
        What was taken out.
    """
    removed = Removed()
    while True:
        before = removed.units
        for i in range(len(layers) - 1):
            layer, after = layers[i], layers[i + 1]
            _, upper = list(activations(layers[: i + 1], normalization))[i]
            layer, after = _fold_still(layer, after, upper, removed)
            layer, after = _merge_twins(layer, after, removed)
            layers = (*layers[:i], layer, after, *layers[i + 2 :])
        if removed.units == before:
            return layers, removed


def without_silent(layers: Layers, z: NDArray[np.floating]) -> tuple[Layers, int]:
    """Take out units that are zero on all the given states.

    Parameters
    ----------
    layers : Layers
        A network from normalized state to activated fraction.
    z : ndarray, shape (n, 16)
        Normalized states.

    Returns
    -------
    Layers
        The same function of these states only.
    int
        Number of units taken out.
    """
    count, kept = 0, list(layers)
    for i, active in enumerate(_active(layers, z)):
        active[0] |= not active.any()
        count += int((~active).sum())
        kept[i], kept[i + 1] = _keep(kept[i], kept[i + 1], active)
    return tuple(kept), count


def activations(hidden: Sequence[Layer], normalization: Normalization) -> Iterator[_Interval]:
    """Bound the values of hidden units over all states within the physical bounds.

    Parameters
    ----------
    hidden : sequence of Layer
        Hidden layers, from the first on.
    normalization : Normalization
        What stands in front of them.

    Yields
    ------
    lower, upper : ndarray, shape (units,)
        Of a layer's values. They hold for float32 arithmetic in any order of the sums.
    """
    lower, upper = _box(normalization)
    for layer in hidden:
        kernel, bias = layer.kernel.astype(np.float64), layer.bias.astype(np.float64)
        rising, falling = np.maximum(kernel, 0.0), np.minimum(kernel, 0.0)
        size = np.maximum(np.abs(lower), np.abs(upper)) @ np.abs(kernel) + np.abs(bias)
        # Twice what n rounded weights, products and sums can come to: enough for a square, too.
        slack = (len(kernel) + 3) * _ROUNDING * size
        low = lower @ rising + upper @ falling + bias - slack
        high = upper @ rising + lower @ falling + bias + slack
        lower, upper = (activated(side, layer.activation) for side in (low, high))
        yield lower, upper


def _box(normalization: Normalization) -> _Interval:
    """Bound the normalized states that the graph can make of any input."""
    sides = np.stack(clip_bounds(normalization)).astype(np.float64)
    sides[:, normalization.is_log] = np.log(sides[:, normalization.is_log])
    mean, std = normalization.mean.astype(np.float64), normalization.std.astype(np.float64)
    # Logarithm, difference and scale: a few roundings, the mean's cancellation among them.
    slack = 4 * _ROUNDING * (np.abs(sides) + np.abs(mean)) / std
    z = (sides - mean) / std
    return (z - slack)[0], (z + slack)[1]


def _fold_still(
    layer: Layer, after: Layer, upper: NDArray[np.float64], removed: Removed
) -> tuple[Layer, Layer]:
    """Take out units that never change or that nobody reads."""
    dead = upper <= 0
    constant = ~layer.kernel.any(axis=0) & ~dead
    unread = ~after.kernel.any(axis=1) & ~dead & ~constant
    keep = ~(dead | constant | unread)
    value = np.where(constant, activated(layer.bias, layer.activation), 0.0).astype(np.float64)
    bias = (after.bias + value @ after.kernel.astype(np.float64)).astype(np.float32)
    if not keep.any():
        if keep.size == 1 and not layer.kernel.any() and not layer.bias.any():
            return layer, after  # what the lines below leave behind
        placeholder = replace(layer, kernel=layer.kernel[:, :1] * 0, bias=layer.bias[:1] * 0)
        layer, after = placeholder, replace(after, kernel=after.kernel[:1] * 0, bias=bias)
    else:
        layer, after = _keep(layer, replace(after, bias=bias), keep)
    removed.dead += int(dead.sum())
    removed.constant += int(constant.sum())
    removed.unread += int(unread.sum())
    return layer, after


def _merge_twins(layer: Layer, after: Layer, removed: Removed) -> tuple[Layer, Layer]:
    """Let one of several equal units do the work of all."""
    weights = np.vstack([layer.kernel, layer.bias])
    _, first, group = np.unique(weights, axis=1, return_index=True, return_inverse=True)
    if len(first) == layer.bias.size:
        return layer, after
    outgoing = np.zeros((len(first), after.bias.size))
    np.add.at(outgoing, group.reshape(-1), after.kernel.astype(np.float64))
    removed.twins += layer.bias.size - len(first)
    layer = replace(layer, kernel=layer.kernel[:, first], bias=layer.bias[first])
    return layer, replace(after, kernel=outgoing.astype(np.float32))


def _keep(layer: Layer, after: Layer, keep: NDArray[np.bool_]) -> tuple[Layer, Layer]:
    """Reduce a layer to some of its units."""
    return (
        replace(layer, kernel=layer.kernel[:, keep], bias=layer.bias[keep]),
        replace(after, kernel=after.kernel[keep]),
    )


def _active(layers: Layers, z: NDArray[np.floating]) -> list[NDArray[np.bool_]]:
    """Say of every hidden unit whether any state activates it, a vector a layer."""
    active = [np.zeros(layer.bias.size, bool) for layer in layers[:-1]]
    for rows in np.array_split(np.asarray(z, np.float32), max(1, len(z) // 16_384)):
        a = rows
        for layer, seen in zip(layers[:-1], active, strict=True):
            a = activated(a @ layer.kernel + layer.bias, layer.activation)
            seen |= (a > 0).any(axis=0)
    return active
