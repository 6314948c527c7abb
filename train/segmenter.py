"""Builds and trains the segmentation network, which finds the pixels of a garment."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import keras
import numpy as np
from keras import layers, ops

from garmentlite.edge.segmenters.network_file import SIDE
from garmentlite.train.blocks import conv_bn_relu
from garmentlite.train.segmenter_data import Samples, replayed

LEARNING_RATE = 3e-3  # of Adam after the warm-up; it then falls along a cosine
WARM_UP_SHARE = 0.03  # share of the steps during which the learning rate rises
# Batches and momentum with which the batch-norm statistics of averaged weights are computed.
STATISTICS_BATCHES, STATISTICS_MOMENTUM = 60, 0.95
# The moving average of the weights spans 500 steps, but at most this share of the training. Otherwise the
# average of a short training would consist of its first weights.
EMA_MOMENTUM, LARGEST_EMA_SHARE = 0.998, 0.1


class DepthToSpace(layers.Layer):
    """Rearranges channels into blocks of pixels: (N, H, W, C) to (N, block H, block W, C / block^2).

    With a convolution at the lower resolution before it, it replaces a transposed convolution and takes a
    third of the instructions on a Cortex-A72 (`benchmarks/pi_instructions.py`).
    """

    def __init__(self, block: int) -> None:
        """Sets the size of the blocks.

        Args:
            block: Height and width, in pixels, of the block that each pixel becomes.
        """
        super().__init__()
        self._block = block

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Rearranges a batch as the class describes."""
        return ops.depth_to_space(x, self._block)


def segmenter_network() -> keras.Model:
    """Builds an encoder to 6x6 and a decoder to 24x24: 188 thousand parameters, 23 MMAC.

    The architecture follows U-Net (Ronneberger et al. 2015, arXiv 1505.04597). Skip connections are added and
    not concatenated, which halves the channels of the decoder. All numbers of channels are multiples of 16,
    since the kernels pad other numbers. Each position at 24x24 decides on 4x4 pixels of the mask.

    Returns:
        A network from (N, SIDE, SIDE, 3) in [0, 1] to logits (N, SIDE, SIDE, 1), above 0 on the garment.
    """
    inputs = keras.Input((SIDE, SIDE, 3))
    quarter = conv_bn_relu(conv_bn_relu(inputs, 16, strides=2), 32, strides=2)
    eighth = conv_bn_relu(conv_bn_relu(quarter, 48, strides=2), 48)
    x = conv_bn_relu(eighth, 64, strides=2)
    x = conv_bn_relu(conv_bn_relu(x, 64), 64)
    for shortcut in (eighth, quarter):
        x = DepthToSpace(2)(conv_bn_relu(x, 4 * shortcut.shape[-1], 1, relu=False))
        x = conv_bn_relu(layers.ReLU()(layers.Add()([x, shortcut])), 32)
    logits = DepthToSpace(4)(layers.Conv2D(16, 3, padding="same")(x))
    return keras.Model(inputs, logits, name="segmenter")


def train_segmenter(
    samples: Samples,
    *,
    steps: int,
    batch: int,
    seed: int,
    learning_rate: float = LEARNING_RATE,
    repeats: int = 1,
    workers: int = 0,
    begin_with: keras.Model | None = None,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> keras.Model:
    """Trains a segmentation network.

    Args:
        samples: The training data.
        steps: Number of batches to train on.
        batch: Number of samples in a batch.
        seed: Seed of the first weights, and of the choice of the batches that are used again.
        learning_rate: Learning rate of Adam after the warm-up; it then falls along a cosine.
        repeats: How often each batch is used on average; see `segmenter_data.replayed`.
        workers: Number of processes that make samples; with 0 this process makes them.
        begin_with: A trained network whose weights are copied as the first weights. It is not changed.
        on_step: Called with the number of each step, from 1, and its loss.

    Returns:
        The network, whose weights are a moving average over the last steps.
    """
    keras.utils.set_random_seed(seed)
    network = segmenter_network()
    if begin_with is not None:
        network.set_weights(begin_with.get_weights())
    trained = with_optimizer(network, steps, learning_rate)
    made = samples.batches(batch, -(-steps // repeats), workers)
    for step, (pictures, targets) in enumerate(islice(replayed(made, repeats, seed), steps), 1):
        on_step(step, float(np.asarray(trained.train_on_batch(pictures, targets))))
    trained.optimizer.finalize_variable_values(trained.trainable_variables)
    return network


def mean_of(first: keras.Model, second: keras.Model, samples: Samples, batch: int) -> keras.Model:
    """Averages the weights of two networks, the second of which was trained from the first.

    The average keeps more of what the first has learnt (Wortsman et al. 2021, arXiv 2109.01903). The
    batch-norm statistics are computed again, since the mean of two sets of statistics does not fit the
    averaged weights.

    Args:
        first: A trained network.
        second: A network whose training began with the weights of `first`.
        samples: The data for the batch-norm statistics.
        batch: Number of samples in a batch.
    """
    network = segmenter_network()
    pairs = zip(first.get_weights(), second.get_weights(), strict=True)
    network.set_weights([(one + other) / 2 for one, other in pairs])
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = STATISTICS_MOMENTUM
    for number in range(STATISTICS_BATCHES):
        pictures, _ = samples.batch(batch, number)
        network(pictures.astype(np.float32) / 255, training=True)
    return network


def with_optimizer(network: keras.Model, steps: int, learning_rate: float) -> keras.Model:
    """Wraps a network in a compiled model that is trained on the uint8 arrays of `Samples.batch`.

    Args:
        network: The network; the model that is returned shares its weights.
        steps: Number of training steps, for the schedule of the learning rate.
        learning_rate: Learning rate after the warm-up.
    """
    pixels = keras.Input((SIDE, SIDE, 3), dtype="uint8")
    model = keras.Model(pixels, network(layers.Rescaling(1 / 255)(pixels)))
    warm_up = max(1, round(WARM_UP_SHARE * steps))
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps - warm_up, warmup_target=learning_rate, warmup_steps=warm_up
    )
    momentum = max(0.0, min(EMA_MOMENTUM, 1 - 1 / (LARGEST_EMA_SHARE * steps)))
    optimizer = keras.optimizers.Adam(rate, clipnorm=1.0, use_ema=True, ema_momentum=momentum)
    model.compile(optimizer=optimizer, loss=lambda target, y: overlap_loss(target / 255, y))
    return model


def overlap_loss(target: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
    """Computes the sum of cross-entropy and Dice loss, with a weight for each pixel.

    Args:
        target: Shape (N, H, W, 2): the share of the pixel that is garment, and its weight, both in [0, 1].
        logits: Shape (N, H, W, 1).

    Returns:
        Shape (N,).
    """
    garment, counts = target[..., :1], target[..., 1:]
    axes = (1, 2, 3)
    entropy = ops.relu(logits) - logits * garment + ops.softplus(-ops.abs(logits))
    found = ops.sigmoid(logits) * counts
    common = ops.sum(found * garment, axes)
    total = ops.sum(found, axes) + ops.sum(counts * garment, axes)
    # With the constant, an empty mask of an empty scene has no loss.
    dice = 1 - (2 * common + 20) / (total + 20)
    return ops.mean(entropy * counts, axes) + dice
