"""Finds segmenters by their names. A new one is a class in a module of its own, and one line here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from garmentlite.edge.errors import OptionError
from garmentlite.edge.labels import nearest

if TYPE_CHECKING:
    from garmentlite.edge.segmenters.interface import Segmenter

# Name, and the module and class, which are imported when the segmenter is made: the command line lists the
# names in its help and should not load NumPy for that.
SEGMENTERS: dict[str, tuple[str, str]] = {
    "network": ("garmentlite.edge.segmenters.network", "NetworkSegmenter"),
    "grabcut": ("garmentlite.edge.segmenters.grabcut", "GrabCutSegmenter"),
    "border": ("garmentlite.edge.segmenters.border", "BorderSegmenter"),
    "plain": ("garmentlite.edge.segmenters.plain", "PlainSegmenter"),
}
DEFAULT_SEGMENTER = "network"


def make_segmenter(name: str) -> Segmenter:
    """Makes the segmenter with a name.

    Args:
        name: One of `SEGMENTERS`.

    Raises:
        OptionError: If no segmenter has this name; the message proposes the nearest name.
        ModelError: If the segmenter needs a network whose file is missing or broken.
        MissingPartError: If the segmenter needs the LiteRT runtime and it is not installed.
    """
    if name in SEGMENTERS:
        module, kind = SEGMENTERS[name]
        return cast("Segmenter", getattr(import_module(module), kind)())
    guess = nearest(name, list(SEGMENTERS))
    hint = f"did you mean '{guess}'?" if guess else f"there are: {', '.join(SEGMENTERS)}."
    raise OptionError(f"No segmenter is called '{name}'; {hint}")
