"""garmentlite trains garment classifiers, converts them to int8, checks each class and runs them on a device.

    from garmentlite import Recognizer

    recognizer = Recognizer()
    print(recognizer.recognize("shirt.jpg").label)

The names below are the public Python API. Each is imported when it is first used, so that
`import garmentlite` itself loads neither NumPy nor OpenCV nor a model runtime.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from garmentlite.convert.verify.check import verify
    from garmentlite.convert.verify.criteria import Criteria
    from garmentlite.convert.verify.parity_report import ParityReport
    from garmentlite.edge.classifier import Classifier
    from garmentlite.edge.errors import GarmentliteError
    from garmentlite.edge.overlay import annotate
    from garmentlite.edge.recognition import Recognition, Score
    from garmentlite.edge.recognizer import Recognizer
    from garmentlite.edge.stream import GarmentStream
    from garmentlite.edge.version import __version__

__all__ = [
    "Classifier",
    "Criteria",
    "GarmentStream",
    "GarmentliteError",
    "ParityReport",
    "Recognition",
    "Recognizer",
    "Score",
    "__version__",
    "annotate",
    "verify",
]

_MODULES = {
    "Classifier": "edge.classifier",
    "Criteria": "convert.verify.criteria",
    "GarmentStream": "edge.stream",
    "GarmentliteError": "edge.errors",
    "ParityReport": "convert.verify.parity_report",
    "Recognition": "edge.recognition",
    "Recognizer": "edge.recognizer",
    "Score": "edge.recognition",
    "__version__": "edge.version",
    "annotate": "edge.overlay",
    "verify": "convert.verify.check",
}


if (
    not TYPE_CHECKING
):  # type checkers, which read the imports above, report a name that does not exist

    def __getattr__(name: str) -> Any:
        """Imports a public name when it is first used."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"garmentlite.{_MODULES[name]}"), name)
        globals()[name] = value  # from now on Python finds it without this function
        return value


def __dir__() -> list[str]:
    """Lists the public names too, for editors and interactive shells."""
    return sorted({*globals(), *__all__})
