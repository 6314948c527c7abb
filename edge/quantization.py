"""Converts between real numbers and the integers of a quantized tensor.

    q = clip(rint(x / scale) + zero_point)        x = (q - zero_point) * scale

`rint` rounds halves to even. `clip` saturates: a value outside the range of the integer type becomes the
nearest end of the range and never wraps around.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Quantization:
    """How one tensor of a model file represents real numbers.

    Attributes:
        dtype: int8, uint8, int16 or float32. A float32 tensor is not scaled.
        scale: Real distance between neighbouring integers; 0.0 for float32.
        zero_point: The integer that represents 0.0.
    """

    dtype: np.dtype
    scale: float
    zero_point: int

    @property
    def is_float(self) -> bool:
        """Whether the tensor holds real numbers, which are not quantized."""
        return np.issubdtype(self.dtype, np.floating)

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest real number that an integer tensor represents."""
        limits = np.iinfo(self.dtype)
        low, high = ((end - self.zero_point) * self.scale for end in (limits.min, limits.max))
        return low, high

    def quantize(self, real: np.ndarray) -> np.ndarray:
        """Converts real numbers of any shape to `dtype`, rounded half to even and saturated."""
        if self.is_float:
            return real.astype(self.dtype)
        limits = np.iinfo(self.dtype)
        steps = np.rint(real / self.scale) + self.zero_point
        return np.clip(steps, limits.min, limits.max).astype(self.dtype)

    def dequantize(self, quantized: np.ndarray) -> np.ndarray:
        """Converts integers of any shape to real numbers, float32."""
        if self.is_float:
            return quantized.astype(np.float32)
        # int32 first, because the difference to a zero point of -128 does not fit into int8.
        return ((quantized.astype(np.int32) - self.zero_point) * self.scale).astype(np.float32)
