"""The shipped model, and one answer to a drawn picture.

The function with a leading underscore runs in a child process.
"""

from __future__ import annotations

from garmentlite.edge.doctor.child import found_by_child
from garmentlite.edge.doctor.finding import Finding, ok, problem
from garmentlite.edge.errors import ModelError
from garmentlite.edge.model_file import read_model_file
from garmentlite.edge.shipped import default_model

_DRAWN = "Trouser"  # the class with the surest answers


def find_model() -> Finding:
    """Reads the model that is used when none is named, and compares its checksum."""
    try:
        file = read_model_file(default_model())
    except ModelError as error:
        return problem(str(error))
    if not file.is_unchanged:
        return problem(
            f"{file.path} is damaged, since its checksum is not the one in its metadata; copy it again."
        )
    return ok(f"{file.path.name}, {file.size:,} bytes, checksum right")


def find_answer() -> Finding:
    """Draws a picture and recognizes it."""
    return found_by_child(__name__, "_answer_twice")


def _answer_twice() -> str:
    import time

    import numpy as np

    from garmentlite.edge.drawing import draw_scene
    from garmentlite.edge.recognizer import Recognizer

    frame_bgr = np.ascontiguousarray(draw_scene(_DRAWN, np.random.default_rng(0)).rgb[..., ::-1])
    recognizer = Recognizer()
    # The first picture takes longer, since memory is still being allocated.
    recognizer.recognize(frame_bgr)
    start = time.perf_counter()
    recognition = recognizer.recognize(frame_bgr)
    milliseconds = (time.perf_counter() - start) * 1000
    answer = f'the answer to a drawn picture of "{_DRAWN}" is "{recognition.label}"'
    if recognition.label != _DRAWN:
        raise ModelError(f"{answer}; install garmentlite again.")
    return f"{answer}, {recognition.confidence:.0%} sure, after {milliseconds:.0f} ms"
