"""Builds garment-net, the small network of this project, and a wider version of it."""

from __future__ import annotations

import keras
from keras import layers

from garmentlite.train.blocks import IMAGE_SHAPE, conv_bn_relu


def garment_net(num_classes: int) -> keras.Model:
    """Builds a residual network of 11 convolutions, most of which work on small images.

    One convolution works on all 28x28 pixels. Four residual blocks of two convolutions each (He et al. 2015,
    arXiv 1512.03385) work at 14x14 and 7x7, where a multiplication costs less memory traffic on any CPU. Two
    shortcuts change the size and have a convolution too; they average first and so leave no pixel out (He et
    al. 2018, arXiv 1812.01187). An image takes 25 million multiplications.

    Args:
        num_classes: Number of outputs.

    Returns:
        A network from (N, 28, 28, 1) in [0, 1] to logits (N, num_classes). Its int8 file has 296,856
        parameters: there each average is merged into the convolution that follows, whose kernel it repeats.
    """
    return _network(num_classes, last_width=78, name="garment-net")


def garment_net_wide(num_classes: int) -> keras.Model:
    """Builds `garment_net` with 80 instead of 78 channels at the end, as its teachers have.

    Args:
        num_classes: Number of outputs.

    Returns:
        A network from (N, 28, 28, 1) in [0, 1] to logits (N, num_classes).
    """
    return _network(num_classes, last_width=80, name="garment-net-wide")


def _network(num_classes: int, last_width: int, name: str) -> keras.Model:
    inputs = keras.Input(IMAGE_SHAPE)
    x = conv_bn_relu(inputs, 32)
    for filters, strides in ((48, 2), (48, 1), (last_width, 2), (last_width, 1)):
        x = _residual(x, filters, strides)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(num_classes)(x), name=name)


def _residual(x: keras.KerasTensor, filters: int, strides: int) -> keras.KerasTensor:
    y = conv_bn_relu(x, filters, strides=strides)
    y = conv_bn_relu(y, filters, relu=False)
    if strides > 1:
        x = layers.AveragePooling2D(strides)(x)
    if x.shape[-1] != filters:
        x = conv_bn_relu(x, filters, 1, relu=False)
    return layers.ReLU()(layers.Add()([x, y]))
