"""Makes the copy of a network that is trained: faster, or on several devices, with the same weights."""

from __future__ import annotations

from typing import Any

import keras


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Batch-norm as one TensorFlow operator forward and one backward, with the same arithmetic.

    Keras 3 computes batch-norm in a dozen elementwise operators, which on a CPU take a third of the step of
    a network with small convolutions; `benchmarks/training_speed.py` measures both.
    """

    def call(
        self, inputs: Any, training: bool | None = None, mask: Any = None
    ) -> Any:  # a backend's tensors
        """Normalises the images; while training, by their own mean and variance."""
        if not training or mask is not None or len(inputs.shape) != 4:
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma.value, self.beta.value, epsilon=self.epsilon, is_training=True
        )
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + now * (1 - self.momentum))
        return outputs


class SeveralSteps(keras.Model):
    """A network that takes several steps of its optimizer in one call, on JAX.

    A step of a small network takes an accelerator less time than Python needs to ask for it. The data of a
    call have one more axis in front, for its steps. A step whose sample weights are all 0 is left out, so
    that each call of an epoch has the same shape and nothing is compiled anew.
    """

    def train_step(self, state: Any, data: Any) -> Any:  # lists of JAX' arrays
        """Takes the steps of a call; the logs are those after the last step."""
        import jax

        step = super().train_step
        first = jax.tree.map(lambda array: array[0], data)
        logs, _ = jax.eval_shape(step, state, first)
        logs = jax.tree.map(lambda one: jax.numpy.zeros(one.shape, one.dtype), logs)

        def next_step(before: Any, batch: Any) -> Any:
            is_taken = jax.numpy.any(batch[2] > 0)
            after = step(before[1], batch)
            return jax.tree.map(lambda *pair: jax.numpy.where(is_taken, *pair), after, before), None

        return jax.lax.scan(next_step, (logs, state), data)[0]


def training_copy(
    model: keras.Model,
    *,
    devices: int = 1,
    mixed_precision: bool = False,
    several_steps: bool = False,
) -> keras.Model:
    """Copies a network with its weights; the copy is trained and never saved.

    Args:
        model: A float32 network of Keras' own layers, each used once.
        devices: Number of devices that share a batch; batch-norm takes its statistics over all of them.
        mixed_precision: Whether all layers but the last compute in bfloat16; the weights stay float32.
        several_steps: Whether it takes several steps in one call, see `SeveralSteps`.

    Returns:
        A network whose weights have the order of those of `model`.
    """
    last = model.layers[-1]
    on_tensorflow = keras.backend.backend() == "tensorflow"

    def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
        kind, config = type(layer), layer.get_config()
        if kind is keras.layers.BatchNormalization and on_tensorflow:  # JAX does both by itself
            if devices > 1:
                config["synchronized"] = True
            else:
                kind = FusedBatchNormalization
        if mixed_precision and layer is not last:
            config["dtype"] = "mixed_bfloat16"
        return kind.from_config(config)

    copied = keras.models.clone_model(model, clone_function=copy)
    if several_steps:
        copied = SeveralSteps(copied.inputs, copied.outputs[0])
    copied.set_weights(model.get_weights())
    return copied
