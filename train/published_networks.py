"""Builds networks of published experiments on Fashion-MNIST, as their authors describe them.

There is one change: batch-norm comes before the ReLU, not after it, so that it folds into the kernel. If a
description leaves a choice open, the docstring states our choice. Each function takes the number of classes
and returns a network from (N, 28, 28, 1) in [0, 1] to logits (N, num_classes).
"""

from __future__ import annotations

import keras
from keras import layers

from garmentlite.train.blocks import IMAGE_SHAPE, conv_bn_relu, conv_relu, dense_bn_relu, dense_relu


def weighted_cnn(num_classes: int) -> keras.Model:
    """Builds a network of two convolutions and a wide dense layer, which has most of its 1.7 M parameters.

    After github.com/HimmetDemir45/fashion-mnist.
    """
    inputs = keras.Input(IMAGE_SHAPE)
    x = conv_bn_relu(inputs, 64)
    x = layers.MaxPooling2D()(x)
    x = layers.Dropout(0.25)(x)
    x = conv_bn_relu(x, 128)
    x = layers.MaxPooling2D()(x)
    x = layers.Dropout(0.35)(x)
    x = layers.Flatten()(x)
    x = dense_bn_relu(x, 256)
    x = layers.Dropout(0.5)(x)
    return keras.Model(inputs, layers.Dense(num_classes)(x), name="weighted-cnn")


def batchnorm_cnn(num_classes: int) -> keras.Model:
    """Builds a network of three convolutions (32 of 4x4, 64, 128), two pools and dense 128.

    It has He's initial values and dropout 0.35.

    Our choice: a pool after each of the first two convolutions, "same" padding.
    """
    inputs = keras.Input(IMAGE_SHAPE)
    x = conv_bn_relu(inputs, 32, 4, initializer="he_normal")
    x = layers.MaxPooling2D()(x)
    x = conv_bn_relu(x, 64, initializer="he_normal")
    x = layers.MaxPooling2D()(x)
    x = conv_bn_relu(x, 128, initializer="he_normal")
    x = dense_bn_relu(layers.Flatten()(x), 128)
    x = layers.Dropout(0.35)(x)
    return keras.Model(inputs, layers.Dense(num_classes)(x), name="batchnorm-cnn")


def compact_cnn(num_classes: int) -> keras.Model:
    """Builds a network of convolution 28, pool, convolution 56 and dense 56, with "valid" padding.

    It has the published 394,530 parameters.
    """
    inputs = keras.Input(IMAGE_SHAPE)
    x = conv_relu(inputs, 28, padding="valid")
    x = layers.MaxPooling2D()(x)
    x = conv_relu(x, 56, padding="valid")
    x = dense_relu(layers.Flatten()(x), 56)
    return keras.Model(inputs, layers.Dense(num_classes)(x), name="compact-cnn")


def compact_cnn_deep(num_classes: int) -> keras.Model:
    """Builds `compact_cnn` with two more convolutions and a pool. Our choice: each convolution is doubled."""
    inputs = keras.Input(IMAGE_SHAPE)
    x = inputs
    for filters in (28, 56):
        x = conv_relu(conv_relu(x, filters), filters)
        x = layers.MaxPooling2D()(x)
    x = dense_relu(layers.Flatten()(x), 56)
    return keras.Model(inputs, layers.Dense(num_classes)(x), name="compact-cnn-deep")


def lenet_bn(num_classes: int) -> keras.Model:
    """Builds LeNet with batch-norm: convolutions 6 and 16 (5x5), pools, dense 128 and 32, dropout 0.2.

    Our choice: "valid" then "same" padding, which comes nearest to the published 85 K parameters (82 K).
    """
    inputs = keras.Input(IMAGE_SHAPE)
    x = conv_bn_relu(inputs, 6, 5, padding="valid")
    x = layers.MaxPooling2D()(x)
    x = conv_bn_relu(x, 16, 5)
    x = layers.MaxPooling2D()(x)
    x = dense_relu(layers.Flatten()(x), 128)
    x = layers.Dropout(0.2)(x)
    x = dense_relu(x, 32)
    return keras.Model(inputs, layers.Dense(num_classes)(x), name="lenet-bn")


def shallow(num_classes: int) -> keras.Model:
    """Builds a network of one hidden layer. Our choice: 128 units."""
    inputs = keras.Input(IMAGE_SHAPE)
    x = dense_relu(layers.Flatten()(inputs), 128)
    return keras.Model(inputs, layers.Dense(num_classes)(x), name="shallow")


def simple_cnn(num_classes: int) -> keras.Model:
    """Builds a network of one convolution, a pool and a dense layer. Our choice: 32 filters, 128 units."""
    return _stack("simple-cnn", [[32]], num_classes)


def deep_cnn(num_classes: int) -> keras.Model:
    """Builds a network of two convolutions, each with a pool, and a dense layer.

    Our choice: 32 and 64 filters, 128 units.
    """
    return _stack("deep-cnn", [[32], [64]], num_classes)


def deeper_cnn(num_classes: int) -> keras.Model:
    """Builds a network of four convolutions in two pairs and a dense layer.

    Our choice: 32, 32, 64 and 64 filters, 128 units.
    """
    return _stack("deeper-cnn", [[32, 32], [64, 64]], num_classes)


def _stack(name: str, stages: list[list[int]], num_classes: int) -> keras.Model:
    inputs = keras.Input(IMAGE_SHAPE)
    x = inputs
    for stage in stages:
        for filters in stage:
            x = conv_relu(x, filters)
        x = layers.MaxPooling2D()(x)
    x = dense_relu(layers.Flatten()(x), 128)
    return keras.Model(inputs, layers.Dense(num_classes)(x), name=name)
