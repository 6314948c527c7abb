"""The page in a browser, see `edge/page/`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

from garmentlite.edge.callbacks import Say
from garmentlite.edge.camera_state import CameraState
from garmentlite.edge.controls import Controls
from garmentlite.edge.page.access_token import read_or_make_token, token_path
from garmentlite.edge.page.address import Address, host_for_browsers, is_loopback, open_sockets
from garmentlite.edge.recognizer import Recognizer
from garmentlite.edge.sinks.interface import Sighting

if TYPE_CHECKING:
    from garmentlite.edge.page.features import Feature


class PageSink:
    """Shows the answers on a page. Live frames are handed over at once, whoever looks."""

    def __init__(
        self,
        address: Address,
        controls: Controls,
        make_recognizer: Callable[[], Recognizer],
        say: Say,
        *,
        allowed_hosts: Sequence[str] = (),
        features: Sequence[Feature] = (),
    ) -> None:
        """Chooses the address; the page is served when the sink is opened.

        Args:
            address: Where the page is served.
            controls: The settings that the page shows and changes.
            make_recognizer: Makes a recognizer for the pictures that are sent to the page.
            say: Called with the sentence that names the address to open.
            allowed_hosts: More names under which the page may be opened, such as that of a proxy.
            features: Panels that other parts of the app add to the page.
        """
        self._address = address
        self._controls = controls
        self._make_recognizer = make_recognizer
        self._say = say
        self._allowed_hosts = tuple(allowed_hosts)
        self._features = features

    def __enter__(self) -> Self:
        """Opens the port, and says which address to open in a browser.

        Raises:
            OptionError: If the port cannot be opened; the sentence names a free one if it is taken.
            OutputError: If the token cannot be kept.
        """
        # Only an app that serves a page needs Tornado.
        from garmentlite.edge.page.access import Access, own_host_names
        from garmentlite.edge.page.server import PageServer

        sockets = open_sockets(self._address)
        try:
            token = None
            if not is_loopback(sockets):
                token = read_or_make_token(token_path())
            rules = Access(token, own_host_names(self._allowed_hosts))
            self._server = PageServer(
                sockets, rules, self._controls, self._make_recognizer, self._features
            )
        except BaseException:
            for one in sockets:
                one.close()
            raise
        host = host_for_browsers(self._address.host)
        query = f"?token={token}" if token else ""
        self._say(f"The page: http://{host}:{sockets[0].getsockname()[1]}/{query}")
        # The value of time.monotonic at which a frame of time 0 was shown, or would have been.
        self._time_zero: float | None = None
        return self

    def __exit__(self, *exception: object) -> None:
        """Closes the port and all connections."""
        self._server.stop()

    def show(self, sighting: Sighting) -> bool:
        """Hands an answer over; a frame of a recording is shown for as long as its source says."""
        self._server.verdicts.take(sighting)
        frame = sighting.frame
        if self._time_zero is None:
            self._time_zero = time.monotonic() - frame.time
        if frame.duration > 0:
            time.sleep(max(0.0, self._time_zero + frame.time + frame.duration - time.monotonic()))
        return True

    def show_state(self, camera: CameraState) -> bool:
        """Hands the state of the camera over."""
        self._server.verdicts.take_state(camera)
        return True
