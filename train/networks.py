"""The registry of networks. A new network is one function and one entry in `NETWORKS`.

Networks are written conv -> batch-norm -> ReLU and dense -> batch-norm -> ReLU, so that the batch-norm folds
into the kernel before quantization. They end in logits and contain neither rescaling nor softmax.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import keras

from garmentlite.edge.errors import OptionError
from garmentlite.edge.labels import nearest
from garmentlite.train import published_networks as published
from garmentlite.train.augmentation import Augmentation
from garmentlite.train.garment_net_tiny import garment_net_tiny
from garmentlite.train.recipe import Recipe
from garmentlite.train.residual_networks import (
    garment_net,
    garment_net_wide,
    resnet_20,
    wide_resnet,
)


@dataclass(frozen=True)
class Network:
    """A network and the protocol that it is trained with by default.

    Attributes:
        build: Makes the untrained network from the number of classes.
        recipe: How it is trained.
        class_weights: Factor of the loss by label; a label that is missing has 1.
    """

    build: Callable[[int], keras.Model]
    recipe: Recipe = field(default_factory=Recipe)
    class_weights: Mapping[str, float] = field(default_factory=dict)


def _plain(epochs: int, batch_size: int) -> Recipe:
    """Makes the usual recipe of tutorials: Adam at one rate, no augmentation, a fixed number of epochs."""
    return Recipe(epochs=epochs, batch_size=batch_size, schedule="constant")


_GARMENT_NETS = Recipe(
    epochs=80,
    learning_rate=0.01,
    optimizer="muon",
    schedule="cosine",
    weight_decay=0.05,
    averaging=0.998,
    rest=0.5,
    augmentation=Augmentation(shift=0.07, flip=0.5, erase=0.5),
)

NETWORKS: Mapping[str, Network] = {
    "garment-net": Network(garment_net, _GARMENT_NETS),
    "garment-net-wide": Network(garment_net_wide, _GARMENT_NETS),
    # So small a network learns nothing by heart: it needs more epochs and fewer random changes.
    "garment-net-tiny": Network(
        garment_net_tiny,
        replace(_GARMENT_NETS, epochs=240, augmentation=Augmentation(shift=0.07, flip=0.5)),
    ),
    "resnet-20": Network(resnet_20, _GARMENT_NETS),
    "wide-resnet": Network(wide_resnet, replace(_GARMENT_NETS, epochs=27, batch_size=512)),
    "weighted-cnn": Network(
        published.weighted_cnn,
        Recipe(augmentation=Augmentation(rotation=5, shift=0.05, shear=0.05, zoom=0.1)),
        # The weights of the published experiment, which raise the recall of Shirt.
        class_weights={"Shirt": 2.0, "T-shirt/top": 1.2},
    ),
    "batchnorm-cnn": Network(
        published.batchnorm_cnn,
        Recipe(epochs=30, augmentation=Augmentation(rotation=10, shift=0.1, shear=0.1, zoom=0.1)),
    ),
    "compact-cnn": Network(published.compact_cnn, _plain(epochs=5, batch_size=64)),
    "compact-cnn-deep": Network(published.compact_cnn_deep, _plain(epochs=20, batch_size=64)),
    "lenet-bn": Network(published.lenet_bn, _plain(epochs=25, batch_size=64)),
    "shallow": Network(published.shallow, _plain(epochs=10, batch_size=32)),
    "simple-cnn": Network(published.simple_cnn, _plain(epochs=10, batch_size=32)),
    "deep-cnn": Network(published.deep_cnn, _plain(epochs=10, batch_size=32)),
    "deeper-cnn": Network(published.deeper_cnn, _plain(epochs=10, batch_size=32)),
}


def network_named(name: str) -> Network:
    """Finds a network by its name.

    Raises:
        OptionError: If there is no such network; the message proposes the nearest name.
    """
    if name in NETWORKS:
        return NETWORKS[name]
    guess = nearest(name, list(NETWORKS))
    hint = f"did you mean '{guess}'?" if guess else f"there are: {', '.join(NETWORKS)}."
    raise OptionError(f"No network is called '{name}'; {hint}")
