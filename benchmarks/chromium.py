"""Drives headless Chromium through the DevTools protocol, for the tests of the page and its picture."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from tornado.httpclient import AsyncHTTPClient
from tornado.websocket import WebSocketClientConnection, websocket_connect

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
PATIENCE = 60  # seconds, for what takes less than one where nothing else runs
KEYS = {"Tab": 9, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, " ": 32}


class Tab:
    """One page of the browser, driven through the DevTools protocol."""

    def __init__(self, connection: WebSocketClientConnection) -> None:
        self._connection = connection
        self._number = 0
        self.complaints = []  # exceptions, failed requests and refused contents

    async def call(self, method: str, **parameters: Any) -> Any:
        """Sends a command and returns its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        await self._connection.write_message(json.dumps(message))
        while True:
            answer = json.loads(await self._connection.read_message())
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            if answer["method"] in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.complaints.append(answer["params"])

    async def close(self) -> None:
        """Reads what the browser sent before it ended, which closes the connection."""
        self._connection.close()
        while await self._connection.read_message() is not None:
            pass

    async def open(self, url: str, width: int, height: int, scheme: str = "light") -> None:
        """Opens a page on a screen of this size in pixels; one of at most 480 pixels is a phone's."""
        for domain in ("Runtime", "Log", "Page", "DOM", "Accessibility"):
            await self.call(f"{domain}.enable")
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width <= 480,
        )  # fmt: skip
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        await self.call("Emulation.setEmulatedMedia", features=features)
        await self.call("Page.navigate", url=url)

    async def picture(self) -> bytes:
        """Takes a picture of the screen, as PNG."""
        result = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(result["data"])

    async def run(self, script: str) -> Any:
        """Runs JavaScript and returns its value."""
        result = await self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def until(self, script: str) -> None:
        """Waits until an expression is true."""
        end = time.monotonic() + PATIENCE
        while not await self.run(script):
            assert time.monotonic() < end, f"{script} did not become true"
            await asyncio.sleep(0.1)

    async def middle_of(self, selector: str) -> Any:
        """Scrolls to an element and returns the place of its middle."""
        return await self.run(
            f"(() => {{ const element = document.querySelector('{selector}');"
            "element.scrollIntoView({block: 'center'}); const r = element.getBoundingClientRect();"
            "return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )

    async def pointer(self, kind: str, x: float, y: float) -> None:
        """Presses, moves or releases the pointer."""
        await self.call(
            "Input.dispatchMouseEvent",
            type=kind, x=x, y=y, button="left", buttons=int(kind != "mouseReleased"), clickCount=1,
        )  # fmt: skip

    async def click(self, selector: str) -> None:
        """Clicks on an element."""
        x, y = await self.middle_of(selector)
        await self.pointer("mousePressed", x, y)
        await self.pointer("mouseReleased", x, y)

    async def drag(self, selector: str, dx: float, dy: float) -> None:
        """Drags an element by some pixels."""
        x, y = await self.middle_of(selector)
        await self.pointer("mousePressed", x, y)
        await self.pointer("mouseMoved", x + dx / 2, y + dy / 2)
        await self.pointer("mouseMoved", x + dx, y + dy)
        await self.pointer("mouseReleased", x + dx, y + dy)

    async def press(self, key: str) -> None:
        """Presses and releases a key."""
        for kind in ("keyDown", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent",
                type=kind, key=key, windowsVirtualKeyCode=KEYS[key], text=key if key == " " else "",
            )  # fmt: skip

    async def focused(self) -> str:
        """Returns the id of the element that has the focus."""
        return await self.run("document.activeElement.id")


class Browser:
    """A browser of its own, with an empty profile."""

    async def __aenter__(self) -> Browser:
        self._tabs = []
        self._profile = tempfile.mkdtemp()
        self._process = subprocess.Popen(
            [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu",
                "--hide-scrollbars", "--disable-dev-shm-usage",
             "--remote-debugging-port=0", f"--user-data-dir={self._profile}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        written = Path(self._profile, "DevToolsActivePort")
        end = time.monotonic() + PATIENCE
        while not written.exists() or len(written.read_text(encoding="ascii").split()) < 2:
            assert time.monotonic() < end, "Chromium does not start"
            await asyncio.sleep(0.1)
        self._port = int(written.read_text(encoding="ascii").split()[0])
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for tab in self._tabs:
            await tab.close()
        shutil.rmtree(self._profile, ignore_errors=True)

    async def tab(self) -> Tab:
        """Opens a tab."""
        answer = await AsyncHTTPClient().fetch(
            f"http://127.0.0.1:{self._port}/json/new?about:blank", method="PUT", body=b""
        )
        url = json.loads(answer.body)["webSocketDebuggerUrl"]
        self._tabs.append(Tab(await websocket_connect(url, max_message_size=1 << 26)))
        return self._tabs[-1]
