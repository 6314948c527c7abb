"""Builds garment-net-tiny, a network for devices on which garment-net takes too long."""

from __future__ import annotations

import keras
from keras import layers

from garmentlite.train.blocks import IMAGE_SHAPE, conv_bn_relu


def garment_net_tiny(num_classes: int) -> keras.Model:
    """Builds a plain network of six 3x3 convolutions, the first of which halves the image already.

    An answer takes 0.71 million instructions on a Cortex-A72. Networks with residual blocks that
    cost as much were no more accurate after a short training (docs/garment-net.md).

    Args:
        num_classes: Number of outputs.

    Returns:
        A network from (N, 28, 28, 1) in [0, 1] to logits (N, num_classes), with 72,000 parameters in int8.
    """
    inputs = keras.Input(IMAGE_SHAPE)
    x = conv_bn_relu(inputs, 16, strides=2)
    for filters, strides in ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1)):
        x = conv_bn_relu(x, filters, strides=strides)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(num_classes)(x), name="garment-net-tiny")
