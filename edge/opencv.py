"""Loads OpenCV, says what to do if it is missing or broken, and sets the number of its threads."""

from __future__ import annotations

import io
import os
import sys
from contextlib import AbstractContextManager, nullcontext, redirect_stderr, suppress
from typing import Any

import numpy as np

from garmentlite.edge.errors import MissingPartError

# What an OpenCV that was built for NumPy 1 raises under NumPy 2. Raspberry Pi OS 12 (bookworm) has such an
# OpenCV, 4.6, and pip may install NumPy 2 over the system's NumPy 1.24.
_BUILT_FOR_OTHER_NUMPY = ("numpy.core.multiarray failed to import", "_ARRAY_API not found")

_LIB_GL = "libGL.so.1"


def load_opencv() -> Any:
    """Imports `cv2`, which not every installation has.

    Returns:
        The module `cv2`.

    Raises:
        MissingPartError: If OpenCV is not installed or cannot be imported. The message says what to install.
    """
    # NumPy 2 prints a page about an OpenCV that was built for NumPy 1; our sentence replaces it.
    quiet: AbstractContextManager[object] = nullcontext()
    if "cv2" not in sys.modules:
        quiet = redirect_stderr(io.StringIO())
    try:
        with quiet:
            import cv2
    except ImportError as error:
        raise MissingPartError(_way_out(error)) from error
    return cv2


def load_silent_opencv() -> Any:
    """Imports `cv2` and turns its own warnings off, where our errors already say what a user must know.

    Without this, OpenCV prints five lines on standard error when a camera does not exist.

    Returns:
        The module `cv2`.

    Raises:
        MissingPartError: See `load_opencv`.
    """
    cv2 = load_opencv()
    # OpenCV 4 has the first function and OpenCV 5 the second; 0 means "silent" in both.
    set_log_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
    set_log_level(0)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET, for the lines of FFmpeg
    return cv2


def use_one_thread() -> None:
    """Makes OpenCV compute in one thread in this process; does nothing where OpenCV is missing.

    Segmentation works on pictures of 128 pixels, which are too small to share out: OpenCV's other threads
    wait by spinning, which takes a fifth more CPU time for each photograph and saves nothing.
    """
    with suppress(MissingPartError):  # the code that needs OpenCV reports that it is missing
        load_opencv().setNumThreads(1)


def _way_out(error: ImportError) -> str:
    is_numpy_2 = int(np.__version__.partition(".")[0]) >= 2
    if is_numpy_2 and any(text in str(error) for text in _BUILT_FOR_OTHER_NUMPY):
        return (
            "OpenCV cannot be loaded because it was built for NumPy 1 and this environment has NumPy "
            f"{np.__version__}; run \"pip install 'numpy<2'\" in this environment."
        )
    if _LIB_GL in str(error):
        return (
            f"OpenCV cannot be loaded because the system has no {_LIB_GL}, which only OpenCV's windows need; "
            "run 'sudo apt install libgl1', or install 'garmentlite[headless]' in a fresh environment."
        )
    return (
        f"OpenCV cannot be loaded ({error}); install it with \"pip install 'garmentlite[headless]'\" "
        "(on a Raspberry Pi 'apt install python3-opencv' works too)."
    )
