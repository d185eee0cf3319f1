"""A multilayer perceptron under training, in plain operations of TensorFlow.

What a network costs before its first step grows with the operations in its graph.  So the
parameters are one vector, which one operation updates, the backward pass is written out,
and what is done once an epoch stays out of the graph.
"""

import math
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from aeroact.hpo.choices import Activation
from aeroact.hpo.loss import Loss

ops = tf.raw_ops

# Adam (Kingma and Ba, 2015) with Keras's settings.
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7

_LEAST = 1e-2
"""Nearer to 0 or 1 than this, a fraction is taken to be this near when the gradient is made.

The sigmoid's derivative vanishes there. An output that a large step has driven to 1 would stay
there for good, however wrong it is: as that of the coarse mode did, of which most states activate
nearly all.
"""

_TEST_BATCH = 1 << 12


class Perceptron:
    """A network, the state of Adam, and the rows that it learns from.

    Parameters
    ----------
    weights : list of ndarray
        To start from: kernel and bias of each layer in turn.
    x, fn : ndarray of float32, shapes (n, 16) and (n, 4)
        Rows to learn from.
    batch_size : int
        Rows a batch.
    loss : Loss
        What is to become small.
    shares : ndarray of float32, shape (n, 4), or None
        Of the modes in the aerosol number, where the loss needs them.
    activation : str
        Of the hidden layers.
    """

    def __init__(
        self,
        weights: list[NDArray[np.float32]],
        x: NDArray[np.float32],
        fn: NDArray[np.float32],
        batch_size: int,
        loss: Loss,
        shares: NDArray[np.float32] | None,
        activation: Activation = "relu",
    ) -> None:
        self._shapes = [w.shape for w in weights]
        self._sizes = [w.size for w in weights]
        self._parameters = tf.Variable(np.concatenate([w.ravel() for w in weights]))
        self._m, self._v = (tf.Variable(tf.zeros_like(self._parameters)) for _ in range(2))
        self._x, self._fn = tf.constant(x), tf.constant(fn)
        self._shares = None if shares is None else tf.constant(shares)
        self._batch_size, self._loss = batch_size, loss
        self._squared = activation == "relu2"
        self._steps = 0
        self._run_epoch = tf.function(self._epoch, autograph=False).get_concrete_function(
            order=tf.TensorSpec([len(x)], tf.int32),
            rates=tf.TensorSpec([math.ceil(len(x) / batch_size)], tf.float32),
            steps=tf.TensorSpec([], tf.float32),
        )

    def weights(self) -> list[NDArray[np.float32]]:
        """Return a copy of the weights."""
        return [part.numpy() for part in self._parts()]

    def mse(self, x: NDArray[np.float32], fn: NDArray[np.float32]) -> float:
        """Return the mean squared error on other rows."""
        parts, total = self._parts(), 0.0
        for start in range(0, len(x), _TEST_BATCH):
            part = slice(start, start + _TEST_BATCH)
            *_, predicted = _forward(parts, tf.constant(x[part]), self._squared)
            error = predicted - fn[part]
            total += 2.0 * float(ops.L2Loss(t=error))
        return total / fn.size

    def train_epoch(self, order: NDArray[np.int64], rates: list[float]) -> float:
        """Learn from each row once.

        Parameters
        ----------
        order : ndarray of int, shape (n,)
            Of the rows.
        rates : list of float
            Learning rate of each batch.

        Returns
        -------
        float
            Mean of the squared errors, each from before the step that its batch led to.
        """
        total = self._run_epoch(
            order=tf.constant(order, tf.int32),
            rates=tf.constant(rates, tf.float32),
            steps=tf.constant(self._steps, tf.float32),
        )
        self._steps += len(rates)
        return float(total) / self._fn.shape.num_elements()

    def _epoch(self, order: Any, rates: Any, steps: Any) -> Any:
        """Build the graph of `train_epoch`; `steps` were taken before it."""
        size = self._batch_size

        def one_batch(batch: Any, total: Any) -> Any:
            rows = order[batch * size : (batch + 1) * size]
            parts = self._parts()
            states = self._loss.states(tf.gather(self._x, rows))
            inputs, rectified, predicted = _forward(parts, states, self._squared)
            shares = None if self._shares is None else tf.gather(self._shares, rows)
            error, slope = self._loss.compare(predicted, tf.gather(self._fn, rows), shares)
            signal = ops.SigmoidGrad(y=tf.clip_by_value(predicted, _LEAST, 1 - _LEAST), dy=slope)
            gradient = _gradient(parts, inputs, rectified, signal, self._squared)
            self._step(gradient, rates[batch], steps + tf.cast(batch + 1, tf.float32))
            return batch + 1, total + 2.0 * tf.cast(ops.L2Loss(t=error), tf.float64)

        _, total = tf.while_loop(
            lambda batch, _: batch < rates.shape[0],
            one_batch,
            (0, tf.constant(0.0, tf.float64)),
            parallel_iterations=1,
        )
        return total

    def _parts(self) -> list[Any]:
        """Return kernels and biases, cut from the vector."""
        vector = self._parameters.read_value()
        parts = ops.SplitV(
            value=vector, size_splits=self._sizes, axis=0, num_split=len(self._sizes)
        )
        return [
            part if len(shape) == 1 else ops.Reshape(tensor=part, shape=shape)
            for part, shape in zip(parts, self._shapes, strict=True)
        ]

    def _step(self, gradient: Any, rate: Any, number: Any) -> None:
        """Take the step of Adam with that number, counted from 1."""
        ops.ResourceApplyAdam(
            var=self._parameters.handle,
            m=self._m.handle,
            v=self._v.handle,
            beta1_power=ops.Pow(x=_BETA_1, y=number),
            beta2_power=ops.Pow(x=_BETA_2, y=number),
            lr=rate,
            beta1=_BETA_1,
            beta2=_BETA_2,
            epsilon=_EPSILON,
            grad=gradient,
        )


def _forward(parts: list[Any], x: Any, squared: bool) -> tuple[list[Any], list[Any], Any]:
    """Return the input of each layer, the ReLU of each hidden one, and the output (sigmoid)."""
    inputs, rectified = [x], []
    *hidden, last = zip(parts[::2], parts[1::2], strict=True)
    for kernel, bias in hidden:
        product = ops.MatMul(a=inputs[-1], b=kernel)
        relu = ops.Relu(features=ops.BiasAdd(value=product, bias=bias))
        rectified.append(relu)
        inputs.append(ops.Square(x=relu) if squared else relu)
    kernel, bias = last
    product = ops.MatMul(a=inputs[-1], b=kernel)
    return inputs, rectified, ops.Sigmoid(x=ops.BiasAdd(value=product, bias=bias))


def _gradient(
    parts: list[Any], inputs: list[Any], rectified: list[Any], signal: Any, squared: bool
) -> Any:
    """Return the gradient of the loss, a vector like that of the parameters.

    Parameters
    ----------
    parts : list of tensor
        Kernel and bias of each layer in turn.
    inputs : list of tensor
        Of each layer.
    rectified : list of tensor
        ReLU of each hidden layer.
    signal : tensor, shape (rows, 4)
        Derivative of the loss by what the last sigmoid is of.
    squared : bool
        Whether hidden layers pass on the square of their ReLU.
    """
    gradients = []
    for layer in reversed(range(len(inputs))):
        gradients.append(ops.BiasAddGrad(out_backprop=signal))
        kernel = ops.MatMul(a=inputs[layer], b=signal, transpose_a=True)
        gradients.append(ops.Reshape(tensor=kernel, shape=[-1]))
        if layer:
            signal = ops.MatMul(a=signal, b=parts[2 * layer], transpose_b=True)
            relu = rectified[layer - 1]
            if squared:  # its derivative, 2 relu, is zero where ReLU's is
                signal = ops.Mul(x=signal, y=ops.AddV2(x=relu, y=relu))
            else:
                signal = ops.ReluGrad(gradients=signal, features=relu)
    return ops.ConcatV2(values=gradients[::-1], axis=0)
