"""Starts the training backend quietly, makes its results repeatable, and describes it for a run's files."""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec

from garmentlite.edge import native_log
from garmentlite.edge.callbacks import Say, say_nothing
from garmentlite.edge.errors import MissingPartError


def start(*, more: Sequence[str] = (), distribute: bool = False, say: Say = say_nothing) -> None:
    """Imports Keras and its backend without the messages that they print while they start.

    Args:
        more: Further modules that are needed; a missing one is reported before the work begins.
        distribute: Whether to join the other machines of a distributed training, which must be done before
            any device is used.
        say: Called with a sentence before the start, which takes some seconds.

    Raises:
        MissingPartError: If a package is not installed.
        OptionError: If the other machines cannot be joined.
    """
    name = os.environ.get("KERAS_BACKEND", "tensorflow")
    missing = [module for module in ("keras", "matplotlib", name, *more) if not _is_there(module)]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise MissingPartError(
            f"Training and converting need {', '.join(missing)}, which {verb} not installed; "
            "run: pip install 'garmentlite[train]'"
        )
    say("Starting the training backend ...")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with native_log.held_back():
        if distribute:
            from garmentlite.train.distribution import join_machines

            join_machines()
        device_description()  # looks for accelerators, which prints messages
    # TensorFlow warns about repeated compilation; every further network is compiled, and that is meant.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


def is_jax() -> bool:
    """Whether Keras runs on JAX."""
    import keras

    return keras.backend.backend() == "jax"


def make_deterministic(seed: int) -> None:
    """Seeds Python, NumPy and the backend, and asks TensorFlow for repeatable operators."""
    import keras

    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def device_description() -> str:
    """Describes the hardware that training runs on: the backend, its version and the processors."""
    import keras

    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        devices = jax.devices()
        kinds = sorted({device.device_kind for device in devices})
        return f"JAX {version('jax')} on {len(devices)} x {', '.join(kinds)}"
    if backend == "tensorflow":
        import tensorflow as tf

        gpus = [
            tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
            for gpu in tf.config.list_physical_devices("GPU")
        ]
        where = ", ".join(gpus) if gpus else f"the CPU ({os.cpu_count()} cores)"
        return f"TensorFlow {tf.__version__} on {where}"
    return f"Keras backend {backend}"


def versions() -> dict[str, str]:
    """Lists the versions of the packages that a result depends on."""
    import keras
    import numpy as np

    backend = keras.backend.backend()
    return {
        "python": platform.python_version(),
        "keras": keras.__version__,
        "numpy": np.__version__,
        "backend": backend,
        backend: version(backend),
    }


def _is_there(module: str) -> bool:
    return find_spec(module) is not None
