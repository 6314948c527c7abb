"""The packages that garmentlite uses: NumPy, Pillow, OpenCV and the LiteRT runtime.

The functions with a leading underscore run in a child process.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from garmentlite.edge.doctor.child import found_by_child
from garmentlite.edge.doctor.finding import Finding, problem
from garmentlite.edge.errors import MissingPartError

_OLDEST_PILLOW = (10, 3)  # as pyproject.toml says; bookworm's own Pillow is 9.4


def find_numpy() -> Finding:
    """Imports NumPy."""
    return found_by_child(__name__, "_import_numpy")


def find_pillow() -> Finding:
    """Imports Pillow and refuses versions that are too old."""
    return found_by_child(__name__, "_import_pillow")


def find_opencv() -> Finding:
    """Imports OpenCV, which fails if it was built for another NumPy or if libGL is missing."""
    both = [name for name in ("opencv-python", "opencv-python-headless") if _is_installed(name)]
    if len(both) == 2:
        return problem(
            f"{' and '.join(both)} are both installed and break each other; run 'pip uninstall "
            "opencv-python opencv-python-headless', then install the one that you want again."
        )
    return found_by_child(__name__, "_import_opencv")


def find_runtime() -> Finding:
    """Imports the LiteRT runtime."""
    return found_by_child(__name__, "_import_runtime")


def find_xnnpack() -> Finding:
    """Looks whether XNNPACK runs the model."""
    return found_by_child(__name__, "_load_with_xnnpack")


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _import_numpy() -> str:
    try:
        import numpy as np
    except ImportError as error:
        raise MissingPartError(
            f"NumPy cannot be imported ({error}); run 'pip install numpy' in this environment, and on "
            "bookworm \"pip install 'numpy<2'\"."
        ) from error
    return np.__version__


def _import_pillow() -> str:
    try:
        import PIL
        import PIL.Image
    except ImportError as error:
        raise MissingPartError(
            f"Pillow cannot be imported ({error}); run 'pip install pillow' in this environment."
        ) from error
    numbers = tuple(int(part) for part in PIL.__version__.split(".")[:2])
    if numbers < _OLDEST_PILLOW:
        raise MissingPartError(
            f"Pillow {PIL.__version__} is too old; run \"pip install 'pillow>=10.3'\" in this environment."
        )
    return PIL.__version__


def _import_opencv() -> str:
    from garmentlite.edge.opencv import load_opencv
    from garmentlite.edge.sources.video import TURNS_THE_WRONG_WAY

    found = str(load_opencv().__version__)
    if found == TURNS_THE_WRONG_WAY:
        return f"{found}; it shows videos of phones upside down, which garmentlite corrects"
    return found


def _import_runtime() -> str:
    from garmentlite.edge.runtime import require_runtime

    require_runtime()
    return version("ai-edge-litert")


def _load_with_xnnpack() -> str:
    from garmentlite.edge.metadata import split
    from garmentlite.edge.runtime import make_interpreter, uses_xnnpack
    from garmentlite.edge.shipped import default_model

    flatbuffer, _ = split(default_model().read_bytes())
    if uses_xnnpack(make_interpreter(flatbuffer)):
        return "XNNPACK runs the model"
    raise MissingPartError(
        "The runtime does not use XNNPACK, so answers are slower and differ from those of other machines; "
        "make /proc and /sys visible to this process, from which XNNPACK reads what the processor can do."
    )
