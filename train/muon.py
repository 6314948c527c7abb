"""Muon for convolutions: every step of a kernel is made orthogonal."""

from __future__ import annotations

import keras
from keras import ops


class ConvMuon(keras.optimizers.Muon):
    """Keras' Muon, which knows matrices alone, for convolution kernels too; the rest is left to Adam.

    A kernel (height, width, inputs, outputs) is the matrix (height * width * inputs, outputs). Its momentum
    is replaced by the nearest matrix with all singular values alike (Newton-Schulz), so that the directions
    in which the gradient is weak are learned as fast as those in which it is strong. Jordan et al. 2024,
    "Muon: An optimizer for hidden layers in neural networks"; the size of a step after Liu et al. 2025
    (arXiv 2502.16982). As proposed there, the first convolution, of an image's own channels, and the last
    layer go by Adam.

    Args:
        learning_rate: Of the kernels; half of it is Adam's.
        weight_decay: Of the kernels, a step and times the learning rate.
        **options: Of `keras.optimizers.Muon`.
    """

    def __init__(
        self, learning_rate: float, *, weight_decay: float | None = None, **options: object
    ) -> None:
        super().__init__(
            learning_rate,
            weight_decay=weight_decay,
            adam_weight_decay=None,
            adam_lr_ratio=0.5,
            **options,
        )

    def _should_use_adamw(self, variable: keras.Variable) -> bool:
        return not (len(variable.shape) == 4 and variable.shape[2] > 1)

    def zeropower_via_newtonschulz5(self, x: keras.KerasTensor, steps: int) -> keras.KerasTensor:
        """The kernel, shape (height, width, inputs, outputs), with singular values near 1."""
        matrix = ops.reshape(x, (-1, x.shape[-1]))
        return ops.reshape(super().zeropower_via_newtonschulz5(matrix, steps), x.shape)

    def lr_adjust(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """The step, times 0.2 and the root of the longer side: as large as one of Adam's."""
        rows = x.shape[0] * x.shape[1] * x.shape[2]
        return x * (self.rms_rate * max(rows, x.shape[3]) ** 0.5)
