"""Reading `.keras` files."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from garmentlite.edge.errors import ModelError

if TYPE_CHECKING:
    import keras


def read_network(path: Path, way_out: str) -> keras.Model:
    """Reads a network in safe mode: no code in the file is run.

    Args:
        path: A `.keras` file.
        way_out: What the user can do if it cannot be read; it ends the sentence of the error.

    Raises:
        ModelError: If it cannot be read.
    """
    import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (
        OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError, EOFError,
        zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        reason = str(error).strip().split("\n")[0]
        raise ModelError(
            f"{path} cannot be read as a Keras network ({reason}); {way_out}."
        ) from error
