"""The network that tells a garment from its ground, and its training."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
from keras import layers, ops

from garmentlite.edge.segmenters.network_file import SIDE
from garmentlite.train.blocks import conv_bn_relu
from garmentlite.train.segmenter_data import Photos, Samples

BATCH = 32
LEARNING_RATE = 3e-3  # Adam's, at the start of a cosine


def segmenter_network() -> keras.Model:
    """An encoder to 6x6 and back with additive shortcuts: 122 k parameters, 22 MMAC.

    After U-Net (Ronneberger et al. 2015, arXiv 1505.04597); shortcuts are added instead of joined, which
    halves the channels that the decoder works on.

    Returns:
        A network from (N, SIDE, SIDE, 3) in [0, 1] to logits (N, SIDE, SIDE, 1), above 0 on the garment.
    """
    inputs = keras.Input((SIDE, SIDE, 3))
    half = conv_bn_relu(inputs, 12, strides=2)
    quarter = conv_bn_relu(conv_bn_relu(half, 24, strides=2), 24)
    eighth = conv_bn_relu(conv_bn_relu(quarter, 48, strides=2), 48)
    x = conv_bn_relu(conv_bn_relu(eighth, 56, strides=2), 56)
    for shortcut, filters in ((eighth, 32), (quarter, 24), (half, 12)):
        x = layers.Conv2DTranspose(filters, 2, strides=2)(x)
        x = layers.Add()([x, conv_bn_relu(shortcut, filters, 1, relu=False)])
        x = conv_bn_relu(layers.ReLU()(x), filters)
    logits = layers.Conv2DTranspose(1, 4, strides=2, padding="same")(x)
    return keras.Model(inputs, logits, name="segmenter")


def train_segmenter(
    photos: Photos,
    *,
    steps: int,
    seed: int,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> keras.Model:
    """A trained segmentation network; its weights are averages over the last steps.

    Args:
        photos: What to learn from.
        steps: Batches of `BATCH` samples.
        seed: Of weights and samples.
        on_step: Called with every step's number, from 1, and its loss.
    """
    keras.utils.set_random_seed(seed)
    samples = Samples(photos, seed)
    model = segmenter_network()
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    optimizer = keras.optimizers.Adam(rate, clipnorm=1.0, use_ema=True, ema_momentum=0.995)
    model.compile(optimizer=optimizer, loss=overlap_loss)
    for step in range(1, steps + 1):
        loss = model.train_on_batch(*samples.batch(BATCH))
        on_step(step, float(np.asarray(loss)))
    optimizer.finalize_variable_values(model.trainable_variables)
    return model


def overlap_loss(target: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
    """Cross-entropy plus what the soft masks lack of full overlap (Dice), of pixels that count.

    Args:
        target: Shape (N, H, W, 2): garment in [0, 1], and how much the pixel counts.
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
    # The constant makes an empty mask over an empty scene a full overlap.
    dice = 1 - (2 * common + 20) / (total + 20)
    return ops.mean(entropy * counts, axes) + dice
