"""The optimizer Muon for convolutions, which makes every step of a kernel orthogonal."""

from __future__ import annotations

import keras
from keras import ops


class ConvMuon(keras.optimizers.Muon):
    """Keras' Muon, which takes matrices alone, extended to convolution kernels; Adam updates the rest.

    A kernel (height, width, inputs, outputs) is treated as the matrix (height * width * inputs, outputs).
    Its momentum is replaced by the nearest matrix whose singular values are all equal (Newton-Schulz), so
    that directions with a weak gradient are learned as fast as those with a strong one. Jordan et al. 2024,
    "Muon: An optimizer for hidden layers in neural networks"; the size of a step after Liu et al. 2025
    (arXiv 2502.16982). As proposed there, Adam updates the first convolution, whose inputs are the channels
    of the image, and the last layer.

    Args:
        learning_rate: Learning rate of the kernels; Adam takes half of it.
        weight_decay: Decoupled weight decay of the kernels in each step, times the learning rate.
        **options: Further options of `keras.optimizers.Muon`.
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
        """Makes all singular values of a kernel, shape (height, width, inputs, outputs), nearly 1."""
        matrix = ops.reshape(x, (-1, x.shape[-1]))
        return ops.reshape(super().zeropower_via_newtonschulz5(matrix, steps), x.shape)

    def lr_adjust(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Scales the step by 0.2 and the root of the longer side, as large as a step of Adam."""
        rows = x.shape[0] * x.shape[1] * x.shape[2]
        return x * (self.rms_rate * max(rows, x.shape[3]) ** 0.5)
