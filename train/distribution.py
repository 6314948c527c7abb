"""Trains on several devices, by Keras' own distribution on JAX and by tf.distribute on TensorFlow.

Each batch is split among the devices and every device holds all weights, so a step is the same as on one
device, except for the order of sums. On JAX the devices may belong to several machines: the same command
runs on each of them with Keras' environment variables `KERAS_DISTRIBUTION_JOB_ADDRESSES` (host:port of each,
separated by commas), `KERAS_DISTRIBUTION_NUM_PROCESSES` and `KERAS_DISTRIBUTION_PROCESS_ID`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from garmentlite.edge.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

_MACHINES = "KERAS_DISTRIBUTION_NUM_PROCESSES"  # Keras' own name


@dataclass(frozen=True)
class Devices:
    """The devices that a network is trained on.

    Attributes:
        count: Number of devices that share a batch, on all machines.
        in_use: Makes a context in which networks are built on all devices, and trained.
        machine: Number of this machine, from 0.
        machines: Number of machines.
    """

    count: int
    in_use: Callable[[], AbstractContextManager[Any]]
    machine: int = 0
    machines: int = 1

    def share_of(self, batch: np.ndarray) -> np.ndarray:
        """Takes the part of a batch that this machine computes; every machine is given the whole batch."""
        part = len(batch) // self.machines
        return batch[self.machine * part : (self.machine + 1) * part]


ONE_DEVICE = Devices(1, nullcontext)


def has_accelerator() -> bool:
    """Whether the backend is JAX and sees a GPU or TPU, on which images can be kept and changed."""
    import keras

    if keras.backend.backend() != "jax":
        return False
    import jax

    return jax.default_backend() != "cpu"


def join_machines() -> None:
    """Waits for the other machines, if the environment names any; call it before any use of a device.

    Raises:
        OptionError: If they cannot be reached, or the backend is not JAX.
    """
    import keras

    if int(os.environ.get(_MACHINES, "1")) == 1:
        return
    if keras.backend.backend() != "jax":
        raise OptionError(
            f"{_MACHINES} is set, but several machines train together on JAX only; set KERAS_BACKEND=jax, "
            "or unset it."
        )
    import jax

    jax.config.update("jax_cpu_collectives_implementation", "gloo")  # unused where there are GPUs
    try:
        keras.distribution.initialize()
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise OptionError(
            f"The machines named in KERAS_DISTRIBUTION_JOB_ADDRESSES cannot be joined ({reason}); start the "
            "same command on each of them, with its own KERAS_DISTRIBUTION_PROCESS_ID from 0."
        ) from error


def all_devices() -> Devices:
    """Collects all GPUs, or without GPUs all devices that the backend sees; see `join_machines`.

    Raises:
        OptionError: If the backend is neither TensorFlow nor JAX.
    """
    import keras

    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        parallel = keras.distribution.DataParallel(auto_shard_dataset=False)  # `share_of` does that
        in_use = functools.partial(_parallel, parallel)
        return Devices(len(jax.devices()), in_use, jax.process_index(), jax.process_count())
    if backend == "tensorflow":
        import tensorflow as tf

        found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        strategy = tf.distribute.MirroredStrategy([device.name for device in found])
        return Devices(strategy.num_replicas_in_sync, strategy.scope)
    raise OptionError(
        f"--distribute works on TensorFlow and JAX, but Keras runs on {backend}; leave it out, or set "
        "KERAS_BACKEND=jax."
    )


@contextmanager
def _parallel(distribution: Any) -> Iterator[None]:
    import keras

    before = keras.distribution.distribution()
    keras.distribution.set_distribution(distribution)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)
