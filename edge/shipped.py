"""The models that come with garmentlite: where they are, and which one is used when none is named."""

from __future__ import annotations

from pathlib import Path

from garmentlite.edge.errors import ModelError

# Beside this package in a checkout and in an installation alike.
FOLDER = Path(__file__).resolve().parent.parent / "models"

NETWORKS = (
    "garment-net-photo",
    "garment-net",
    "garment-net-balanced",
    "garment-net-tiny",
    "weighted-cnn",
)
_ENDINGS = (".json", ".keras", "_float32.tflite", "_int8.tflite")
# Every file of the folder. An installed package has only those that a device needs.
FILES = frozenset(f"{name}{ending}" for name in NETWORKS for ending in _ENDINGS) | {
    "segmenter.json",
    "segmenter.tflite",
}

# The one that names photographs best comes first.
_PREFERENCE = ("garment-net-photo", "garment-net", "weighted-cnn")


def default_model() -> Path:
    """Chooses the int8 file that is used when no model is named.

    Raises:
        ModelError: If there is none, as in a checkout before the first network is trained.
    """
    for name in _PREFERENCE:
        path = FOLDER / f"{name}_int8.tflite"
        if path.is_file():
            return path
    raise ModelError(
        f"There is no model in {FOLDER}; name one with --model, or make one with 'cli train' and "
        "'cli convert --int8'."
    )


def find_file(path: str | Path) -> Path:
    """Finds a model file by its path, or a shipped one by its name alone.

    So "garment-net_int8.tflite" and "models/garment-net_int8.tflite" stand for the shipped file in every
    folder in which there is no such file.

    Args:
        path: A path, which need not exist.

    Returns:
        The path of the shipped file if `path` names one and there is nothing at `path`; `path` otherwise.

    Raises:
        ModelError: If `path` names a shipped file that is in the repository but not in this installation.
    """
    path = Path(path)
    if path.exists() or path.name not in FILES or str(path.parent) not in (".", FOLDER.name):
        return path
    shipped = FOLDER / path.name
    if shipped.exists():
        return shipped
    raise ModelError(
        f"{path} is not part of the installed package, which holds only what a device needs; copy "
        f"{path.name} from the folder models/ of the garmentlite repository and name that copy."
    )
