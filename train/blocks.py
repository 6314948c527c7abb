"""Blocks of the networks: convolution or dense, then batch-norm, then ReLU, so that batch-norm folds."""

from __future__ import annotations

import keras
from keras import layers

IMAGE_SHAPE = (28, 28, 1)  # height, width, channels; NHWC


def conv_bn_relu(
    x: keras.KerasTensor,
    filters: int,
    kernel: int = 3,
    *,
    strides: int = 1,
    padding: str = "same",
    relu: bool = True,
    initializer: str = "glorot_uniform",
) -> keras.KerasTensor:
    """Adds a convolution with batch-norm and, if `relu` is True, ReLU.

    Args:
        x: Tensor, shape (N, H, W, channels).
        filters: Number of channels of the result.
        kernel: Height and width of the kernel in pixels.
        strides: Pixels between two places of the kernel.
        padding: "same" or "valid".
        relu: Whether a ReLU follows.
        initializer: Name of Keras' initializer of the kernel.
    """
    x = layers.Conv2D(
        filters,
        kernel,
        strides=strides,
        padding=padding,
        use_bias=False,  # the batch-norm that follows has one
        kernel_initializer=initializer,
    )(x)
    x = layers.BatchNormalization()(x)
    return layers.ReLU()(x) if relu else x


def conv_relu(x: keras.KerasTensor, filters: int, *, padding: str = "same") -> keras.KerasTensor:
    """Adds a 3x3 convolution with bias and ReLU."""
    return layers.ReLU()(layers.Conv2D(filters, 3, padding=padding)(x))


def dense_bn_relu(x: keras.KerasTensor, units: int) -> keras.KerasTensor:
    """Adds a dense layer with batch-norm and ReLU."""
    x = layers.Dense(units, use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return layers.ReLU()(x)


def dense_relu(x: keras.KerasTensor, units: int) -> keras.KerasTensor:
    """Adds a dense layer with bias and ReLU."""
    return layers.ReLU()(layers.Dense(units)(x))
