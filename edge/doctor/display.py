"""Whether the camera app can open a window. It runs without one too, so nothing is wrong if it cannot.

The function with a leading underscore runs in a child process.
"""

from __future__ import annotations

from garmentlite.edge.doctor.child import found_by_child
from garmentlite.edge.doctor.finding import Finding


def find_display() -> Finding:
    """Tells where 'cli webcam' would show its answers."""
    return found_by_child(__name__, "_where_answers_go")


def _where_answers_go() -> str:
    from garmentlite.edge.errors import MissingPartError
    from garmentlite.edge.sinks.display import Display

    try:
        Display().close()
    except MissingPartError as obstacle:
        return f"'cli webcam' prints JSON lines, because {str(obstacle).rstrip('.')}"
    return "'cli webcam' can open a window"
