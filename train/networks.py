"""The networks that can be trained, by name. A new one is one function and one entry in `NETWORKS`.

They are written conv -> batch-norm -> ReLU and dense -> batch-norm -> ReLU, so that the batch-norm folds
into the kernel before quantization, and they end in logits: no rescaling inside, no softmax.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import keras
from keras import layers

from edge.errors import OptionError
from edge.labels import nearest
from train.augmentation import Augmentation

IMAGE_SHAPE = (28, 28, 1)  # height, width, channels; NHWC


@dataclass(frozen=True)
class Network:
    """A network and the protocol it is trained with unless the user says otherwise.

    Attributes:
        build: Makes the untrained network from the number of classes.
        class_weights: Factor of the loss by label; a label not named has 1.
        augmentation: Random changes of the training images.
        epochs: At most; early stopping usually ends sooner.
        batch_size: Images a step.
        learning_rate: Of Adam at the start.
    """

    build: Callable[[int], keras.Model]
    class_weights: Mapping[str, float] = field(default_factory=dict)
    augmentation: Augmentation = field(default_factory=Augmentation)
    epochs: int = 22
    batch_size: int = 128
    learning_rate: float = 1e-3


def weighted_cnn(num_classes: int) -> keras.Model:
    """Two convolutions and a wide dense layer: 1.7 M parameters, most of them in the dense layer.

    After the experiment github.com/HimmetDemir45/fashion-mnist, with batch-norm moved in front of each
    ReLU so that it folds.

    Args:
        num_classes: Number of outputs.

    Returns:
        A network from (N, 28, 28, 1) in [0, 1] to logits (N, num_classes).
    """
    inputs = keras.Input(IMAGE_SHAPE)
    x = _conv_bn_relu(inputs, 64)
    x = layers.MaxPooling2D()(x)
    x = layers.Dropout(0.25)(x)
    x = _conv_bn_relu(x, 128)
    x = layers.MaxPooling2D()(x)
    x = layers.Dropout(0.35)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(256, use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU()(x)
    x = layers.Dropout(0.5)(x)
    return keras.Model(inputs, layers.Dense(num_classes)(x), name="weighted-cnn")


def _conv_bn_relu(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    # No bias: the batch-norm behind it has one.
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return layers.ReLU()(x)


NETWORKS: Mapping[str, Network] = {
    "weighted-cnn": Network(
        build=weighted_cnn,
        # The experiment's own weights: Shirt is the class it wants back.
        class_weights={"Shirt": 2.0, "T-shirt/top": 1.2},
        augmentation=Augmentation(rotation=5, shift=0.05, shear=0.05, zoom=0.1),
    ),
}


def network_named(name: str) -> Network:
    """The registered network of this name.

    Raises:
        OptionError: If there is none; the message proposes the nearest name.
    """
    if name in NETWORKS:
        return NETWORKS[name]
    guess = nearest(name, list(NETWORKS))
    hint = f"did you mean '{guess}'?" if guess else f"there are: {', '.join(NETWORKS)}."
    raise OptionError(f"No network is called '{name}'; {hint}")
