"""The network that tells a garment from what is around it, and its training."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import keras
import numpy as np
from keras import layers, ops

from garmentlite.edge.segmenters.network_file import SIDE
from garmentlite.train.blocks import conv_bn_relu
from garmentlite.train.segmenter_data import Samples, replayed

LEARNING_RATE = 3e-3  # Adam's at the start of a cosine, after the warm-up
WARM_UP_SHARE = 0.03  # of the steps, during which the learning rate rises
STATISTICS_BATCHES, STATISTICS_MOMENTUM = 60, 0.95  # of the batch-norms of a mean of networks
# Of the mean of the weights over the last steps: 500 steps, but at most a tenth of the training, so that the
# mean of a short one does not consist of its first weights.
EMA_MOMENTUM, LARGEST_EMA_SHARE = 0.998, 0.1


class DepthToSpace(layers.Layer):
    """Channels to pixels side by side: (N, H, W, C) to (N, block H, block W, C / block^2).

    After a convolution at the lower resolution it does what a transposed convolution does, for a third of
    the instructions on a Cortex-A72 (`benchmarks/pi_instructions.py`).
    """

    def __init__(self, block: int) -> None:
        """Takes the number of pixels, in height and width, that one becomes."""
        super().__init__()
        self._block = block

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """See the class."""
        return ops.depth_to_space(x, self._block)


def segmenter_network() -> keras.Model:
    """An encoder to 6x6 and back to 24x24 with additive shortcuts: 188 thousand parameters, 23 MMAC.

    After U-Net (Ronneberger et al. 2015, arXiv 1505.04597); shortcuts are added instead of joined, which
    halves the channels that the decoder works on. All channels are multiples of 16, to which the kernels
    pad them otherwise. Each pixel at 24x24 decides on 4x4 pixels of the mask.

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
    """A trained segmentation network; its weights are averages over the last steps.

    Args:
        samples: What to learn from.
        steps: Batches that are learnt from.
        batch: Samples of a batch.
        seed: Of the first weights, and of which batches are learnt from again.
        learning_rate: Adam's at the start of a cosine, after the warm-up.
        repeats: How often each batch is learnt from; see `segmenter_data.replayed`.
        workers: Processes that make the samples; 0 for this one alone.
        begin_with: A trained network whose weights are the first ones; they stay as they are there.
        on_step: Called with every step's number, from 1, and its loss.
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
    """A network whose weights are the means of two trained one after the other.

    It keeps more of what the first has learnt, after Wortsman et al. 2021 (arXiv 2109.01903). The
    statistics of the batch-norms are taken anew, since the mean of two is not right for it.

    Args:
        first: A trained network.
        second: A network that went on from it.
        samples: For the statistics.
        batch: Samples of a batch.
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
    """The network in a model that is trained on the bytes of `Samples.batch`.

    Args:
        network: Shares its weights with the model returned.
        steps: Of the training, for the schedule of the learning rate.
        learning_rate: After the warm-up.
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
