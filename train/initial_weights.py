"""Reads the initial weights of a training, which `--init` names, from a run or a `.keras` file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from garmentlite.edge.errors import ModelError, OptionError
from garmentlite.edge.files import sha256
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.train import runs
from garmentlite.train.keras_file import read_network
from garmentlite.train.networks import NETWORKS, network_named


@dataclass(frozen=True)
class InitialWeights:
    """The weights that a training begins with in place of random ones.

    Attributes:
        network: Name of the network in the registry.
        weights: The weights of all layers, or of all but the last, in the order of the network's own.
        sha256: Checksum of the file that they are from.
        sentence: Tells the user that the last layer is replaced; empty if it is kept.
    """

    network: str
    weights: list[np.ndarray]
    sha256: str
    sentence: str


def read_initial_weights(path: Path, network: str | None, classes: Sequence[str]) -> InitialWeights:
    """Reads the initial weights of a new network.

    Args:
        path: A run's folder or a `.keras` file.
        network: Name of the network in the registry; None for the name in the file.
        classes: Class names of the new network. If the file has other classes, its last layer is left out.

    Raises:
        ModelError: If the file cannot be read, or does not hold that network.
        OptionError: If the name in the file is not in the registry.
    """
    file = runs.model_file(path)
    model = read_network(file, "--init takes a run's folder or a .keras file")
    name = network or model.name
    if name not in NETWORKS and network is None:
        raise OptionError(
            f"--init {path} holds a network called '{name}', which is not in the registry; name its network "
            "with --network."
        )
    weights = model.get_weights()
    of_last = len(model.layers[-1].weights)
    expected = network_named(name).build(len(classes)).get_weights()
    body = slice(len(weights) - of_last)
    if not of_last or [one.shape for one in weights[body]] != [
        one.shape for one in expected[: len(expected) - of_last]
    ]:
        raise ModelError(
            f"--init {path} does not have the layers of {name}; name its network with --network, or leave "
            "--init out to begin with random weights."
        )
    known = _labels_beside(file)
    if known is None and len(FASHION_MNIST_LABELS) == model.output_shape[-1]:
        known = FASHION_MNIST_LABELS
    checksum = sha256(file.read_bytes())
    if known == tuple(classes):
        return InitialWeights(name, weights, checksum, "")
    sentence = (
        f"{path} was trained on {model.output_shape[-1]} other classes: its last layer is replaced by one "
        f"for {', '.join(classes)}."
    )
    return InitialWeights(name, weights[body], checksum, sentence)


def _labels_beside(file: Path) -> tuple[str, ...] | None:
    """Finds the labels of a `.keras` file from the run or the card beside it; None without either."""
    card = file.with_suffix(".json")
    if (file.parent / runs.CONFIG).is_file():
        return runs.labels_of(runs.read_json(file.parent, runs.CONFIG))
    if card.is_file():
        return tuple(runs.read_json(card.parent, card.name)["labels"])
    return None
