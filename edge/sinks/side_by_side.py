"""Several sinks that run side by side; one that fails stops alone, and the others go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Self

from garmentlite.edge.callbacks import Say
from garmentlite.edge.camera_state import CameraState
from garmentlite.edge.errors import GarmentliteError
from garmentlite.edge.sinks.interface import Sighting, Sink
from garmentlite.edge.sinks.watchdog import WatchdogSink


class SideBySide:
    """Sends each answer and each state of the camera to every sink.

    A sink that cannot be opened ends the app, since the user can mend that at once. A sink that fails later,
    such as a recording on a full disk, is closed, and the others go on. If it was the last one, its error is
    raised. A sink that wants no more is closed without a message. A watchdog alone does not keep the app
    running.
    """

    def __init__(self, sinks: Sequence[Sink], say: Say) -> None:
        """Chooses the sinks.

        Args:
            sinks: The sinks, of which there is at least one.
            say: Called with one sentence for each sink that fails.
        """
        self._sinks = sinks
        self._say = say

    def __enter__(self) -> Self:
        """Opens all sinks; if one of them cannot be opened, closes the others and raises its error."""
        self._opened: dict[Sink, ExitStack] = {}
        with ExitStack() as all_opened:
            for sink in self._sinks:
                self._opened[sink] = all_opened.enter_context(ExitStack())
                self._opened[sink].enter_context(sink)
            self._all_opened = all_opened.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        """Closes the sinks that are still open, the last one first."""
        self._all_opened.close()

    def show(self, sighting: Sighting) -> bool:
        """Sends an answer to every sink; returns False if none is left that wants more."""
        return self._send(lambda sink: sink.show(sighting))

    def show_state(self, camera: CameraState) -> bool:
        """Sends a state to every sink; returns False if none is left that wants more."""
        return self._send(lambda sink: sink.show_state(camera))

    def _send(self, send: Callable[[Sink], bool]) -> bool:
        for sink in list(self._opened):
            try:
                if not send(sink):
                    self._opened.pop(sink).close()
            except GarmentliteError as error:
                self._fail(sink, error)
        return self._wants_more()

    def _fail(self, sink: Sink, error: GarmentliteError) -> None:
        """Closes a sink that failed; raises its error if there is no other sink."""
        opened = self._opened.pop(sink, None)
        if not self._wants_more():
            raise error
        self._say(f"Error: {error} The app goes on without it.")
        if opened is not None:
            with suppress(GarmentliteError):  # what is wrong was just said
                opened.close()

    def _wants_more(self) -> bool:
        return not all(isinstance(sink, WatchdogSink) for sink in self._opened)
