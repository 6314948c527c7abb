"""The models that come with garmentlite, and which of them is used when none is named."""

from __future__ import annotations

from pathlib import Path

from garmentlite.edge.errors import ModelError

# Beside this package in a checkout and in an installation alike.
FOLDER = Path(__file__).resolve().parent.parent / "models"

# The best for photographs first.
_PREFERENCE = ("garment-net-photo", "garment-net", "weighted-cnn")


def default_model() -> Path:
    """The int8 file used when no model is named.

    Raises:
        ModelError: If none is there, as in a checkout before the first one is trained.
    """
    for name in _PREFERENCE:
        path = FOLDER / f"{name}_int8.tflite"
        if path.is_file():
            return path
    raise ModelError(
        f"There is no model in {FOLDER}; name one with --model, or make one with 'cli train' and "
        "'cli convert --int8'."
    )
