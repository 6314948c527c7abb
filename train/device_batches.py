"""Makes the batches of an epoch on an accelerator, where the images stay; for JAX."""

from __future__ import annotations

import functools
import math
from typing import Any

import keras
import numpy as np

from garmentlite.train import device_augmentation
from garmentlite.train.batches import Batches

STEPS_PER_CALL = 32  # of the optimizer; Python waits for the accelerator between two calls


class DeviceBatches(Batches):
    """The same batches as `Batches` makes, in groups of `STEPS_PER_CALL` and on the accelerator.

    NumPy draws the order of the images and how each is changed, as for a training on a CPU. Only these
    numbers are sent to the accelerator. Every batch has the same size, so that nothing is compiled
    anew: the images at the end of an epoch that do not fill a batch are left out of it.
    """

    steps_per_call = STEPS_PER_CALL

    def __init__(self, *given: Any, **options: Any) -> None:
        """See `Batches`; copies all images to the accelerator."""
        super().__init__(*given, **options)
        self._pool = keras.ops.convert_to_tensor(np.concatenate(self.parts))

    def start_epoch(
        self, epoch: int, first_step: int = 0, losses: np.ndarray | None = None
    ) -> None:
        """See `Batches.start_epoch`."""
        super().start_epoch(epoch, first_step, losses)
        shown, size = len(self.order), self.config.batch_size
        self.order = np.resize(self.order, max(1, shown // size) * size)
        self.images += len(self.order) - shown

    def __len__(self) -> int:
        return math.ceil((self.steps - self.first_step) / self.steps_per_call)

    def __getitem__(self, index: int) -> tuple[Any, Any, Any]:
        first = self.first_step + index * self.steps_per_call
        steps = [self._step(step) for step in range(first, first + self.steps_per_call)]
        chosen, places, changes, targets, factors = keras.tree.map_structure(
            lambda *rows: np.stack(rows), *steps
        )
        x = _compiled()(self._pool, places, changes)
        if self.answers:
            answers = self.answers(keras.ops.reshape(x, (-1, *x.shape[2:])))
            answers = keras.ops.reshape(answers, targets.shape)
            targets = self.taught(chosen, targets, answers)
        return x, targets, factors

    def _step(self, step: int) -> tuple[Any, ...]:
        """Makes the numbers of a step; after the end of the epoch, those of the last with weights of 0."""
        chosen, places, changes = self.drawn(min(step, self.steps - 1))
        targets, factors = self.mixed_targets(chosen, changes)
        is_taken = np.float32(step < self.steps)
        tensors = device_augmentation.as_tensors(changes)
        return chosen, places.astype(np.int32), tensors, targets, factors * is_taken


@functools.cache
def _compiled() -> Any:
    import jax

    def inputs_of(pool: Any, places: Any, changes: Any) -> Any:
        changed = jax.vmap(device_augmentation.changed)(pool[places], changes)
        return (changed[..., None] / np.float32(255)).astype("float32")

    return jax.jit(inputs_of)
