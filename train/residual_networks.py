"""Builds residual networks of any shape: garment-net, its relatives, and the teacher wide-resnet."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from garmentlite.train.blocks import IMAGE_SHAPE, conv_bn_relu

Block = tuple[int, int]  # channels and strides of a residual block


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
    blocks = ((48, 2), (48, 1), (78, 2), (78, 1))
    return residual_network(num_classes, stem=32, blocks=blocks, name="garment-net")


def garment_net_wide(num_classes: int) -> keras.Model:
    """Builds `garment_net` with 80 instead of 78 channels at the end, as its teachers have.

    Args:
        num_classes: Number of outputs.

    Returns:
        A network from (N, 28, 28, 1) in [0, 1] to logits (N, num_classes).
    """
    blocks = ((48, 2), (48, 1), (80, 2), (80, 1))
    return residual_network(num_classes, stem=32, blocks=blocks, name="garment-net-wide")


def resnet_20(num_classes: int) -> keras.Model:
    """Builds a ResNet-20 (He et al. 2015, section 4.2): three blocks each of 16, 32 and 64 channels.

    Its first seven convolutions work on all 28x28 pixels. Where the size changes, the shortcut has a 1x1
    convolution with strides (option B there). With averages in front of it, as in `garment_net`, an answer
    would take more than 10 million instructions on a Cortex-A72.

    Args:
        num_classes: Number of outputs.

    Returns:
        A network from (N, 28, 28, 1) in [0, 1] to logits (N, num_classes).
    """
    blocks = stages((16, 32, 64), 3)
    return residual_network(num_classes, stem=16, blocks=blocks, name="resnet-20", averages=False)


def wide_resnet(num_classes: int) -> keras.Model:
    """Builds a teacher: the widths and depth of WRN-16-8 (Zagoruyko & Komodakis 2016, arXiv 1605.07146).

    Each batch-norm follows its convolution, as in all networks here; in the paper it precedes it.

    Args:
        num_classes: Number of outputs.

    Returns:
        A network of 11 million parameters from (N, 28, 28, 1) in [0, 1] to logits (N, num_classes).
    """
    blocks = stages((128, 256, 512), 2)
    return residual_network(num_classes, stem=16, blocks=blocks, name="wide-resnet", averages=False)


def stages(widths: Sequence[int], blocks: int) -> list[Block]:
    """Lists the blocks of stages with so many blocks each; all stages but the first halve the image."""
    return [
        (width, 2 if block == 0 and stage > 0 else 1)
        for stage, width in enumerate(widths)
        for block in range(blocks)
    ]


def residual_network(
    num_classes: int,
    *,
    stem: int,
    blocks: Sequence[Block],
    name: str,
    stem_strides: int = 1,
    averages: bool = True,
) -> keras.Model:
    """Builds a residual network: a convolution, residual blocks, the average of each channel, a dense layer.

    Args:
        num_classes: Number of outputs.
        stem: Channels of the first convolution.
        blocks: The residual blocks, each of two convolutions.
        name: Name of the network.
        stem_strides: Strides of the first convolution.
        averages: Whether a shortcut that halves the image takes averages, in place of every second pixel.

    Returns:
        A network from (N, 28, 28, 1) in [0, 1] to logits (N, num_classes).
    """
    inputs = keras.Input(IMAGE_SHAPE)
    x = conv_bn_relu(inputs, stem, strides=stem_strides)
    for filters, strides in blocks:
        x = _residual(x, filters, strides, averages=averages)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(num_classes)(x), name=name)


def _residual(
    x: keras.KerasTensor, filters: int, strides: int, *, averages: bool
) -> keras.KerasTensor:
    y = conv_bn_relu(x, filters, strides=strides)
    y = conv_bn_relu(y, filters, relu=False)
    if strides > 1 and averages:
        x, strides = layers.AveragePooling2D(strides)(x), 1
    if x.shape[-1] != filters or strides > 1:
        x = conv_bn_relu(x, filters, 1, strides=strides, relu=False)
    return layers.ReLU()(layers.Add()([x, y]))
