"""Tests of the page in a real browser, headless Chromium: each control, by pointer and by keyboard."""

import asyncio
import http.client
import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from waiting import wait_until

from garmentlite.edge.drawing import draw_scene

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
from chromium import CHROMIUM, PATIENCE, Browser  # noqa: E402

SIZES = {"phone": (360, 740), "pi": (800, 480), "desk": (1280, 800)}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium)"),
]


class App:
    """`cli webcam` with a page, in a process of its own."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, "cli.py", "webcam", "--source", "test-pattern", "--headless",
             "--serve", "127.0.0.1:0"],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.url = self._process.stderr.readline().split()[-1]
        self.port = int(self.url.split(":")[-1].strip("/"))

    def stop(self):
        self._process.terminate()
        self._process.communicate(timeout=PATIENCE)

    def verdict(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", "/verdict")
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def until(self, is_true):
        wait_until(lambda: is_true(self.verdict()), "the answer or the setting of the app")


@pytest.fixture(scope="module")
def app():
    made = App()
    yield made
    made.stop()


async def open_page(tab, app, size):
    await tab.open(app.url, *SIZES[size])
    await tab.until("document.querySelector('#state')?.dataset.status === 'ok'")


def visit(app, size, steps):
    """Opens the page and takes steps on it; nothing may be complained of in the browser's console."""

    async def take():
        async with Browser() as browser:
            tab = await browser.tab()
            await open_page(tab, app, size)
            await steps(tab)
            assert tab.complaints == []

    asyncio.run(take())


@pytest.mark.parametrize("size", SIZES)
def test_page_shows_the_camera_and_its_verdict(app, size):
    async def steps(tab):
        await tab.until("document.querySelector('#label').textContent.length > 2")
        await tab.until("document.querySelector('#picture').dataset.frame > 0")
        await tab.until("document.querySelectorAll('#bars li').length === 5")
        await tab.until("document.querySelectorAll('#timing dd').length >= 3")
        await tab.until("document.querySelectorAll('#history li').length >= 1")
        await tab.until("document.querySelector('#spoken').textContent.length > 2")
        # Nothing is wider than the screen.
        root = "document.documentElement"
        await tab.until(f"{root}.scrollWidth <= {root}.clientWidth")

    visit(app, size, steps)


async def shows(tab, control, is_on):
    """Waits until a button shows its new state for good.

    The next press changes what the page shows. News that were on their way when the setting changed show the
    old state once more, so the page is looked at twice.
    """
    for _ in range(2):
        await tab.until(
            f"document.querySelector('#{control}').ariaPressed === '{str(is_on).lower()}'"
        )
        await asyncio.sleep(0.5)  # several frames


@pytest.mark.parametrize("size", ["phone", "desk"])
def test_each_control_of_the_page_works_by_pointer(app, size, tmp_path):
    async def steps(tab):
        for control, setting in (("pause", "paused"), ("mirror", "mirrored")):
            for is_on in (True, False):
                await tab.click(f"#{control}")
                app.until(lambda now: now["settings"][setting] is is_on)  # noqa: B023
                await shows(tab, control, is_on)
                if control == "pause":
                    if is_on:
                        await tab.until(
                            "document.querySelector('#spoken').textContent.includes('paused')"
                        )
                    message = "document.querySelector('#message').hidden"
                    await tab.until(f"!{message}" if is_on else message)

        await tab.click("#edit-guide")
        before = app.verdict()["settings"]["box"]
        await tab.drag("#guide-move", -20, 10)
        app.until(lambda now: now["settings"]["box"] != before)
        moved = app.verdict()["settings"]["box"]
        assert moved[0] < before[0]
        assert moved[1] > before[1]
        assert moved[2:] == before[2:]
        await tab.drag("#guide-size", -30, -30)
        app.until(lambda now: now["settings"]["box"][2] < moved[2])
        assert app.verdict()["settings"]["box"][:2] == moved[:2]
        await tab.click("#reset-guide")
        app.until(lambda now: now["settings"]["box"] == [0.2, 0.1, 0.6, 0.8])
        await tab.click("#edit-guide")
        await tab.until("document.querySelector('#guide-move').hidden")

        picture = tmp_path / "coat.png"
        Image.fromarray(draw_scene("Coat", np.random.default_rng(1)).rgb).save(picture)
        document = await tab.call("DOM.getDocument")
        node = await tab.call(
            "DOM.querySelector", nodeId=document["root"]["nodeId"], selector="#file"
        )
        await tab.call("DOM.setFileInputFiles", files=[str(picture)], nodeId=node["nodeId"])
        await tab.until("document.querySelector('#upload-answer').textContent.endsWith('%')")

    visit(app, size, steps)


def test_each_control_of_the_page_works_by_keyboard_and_has_a_name(app):
    async def steps(tab):
        reached = []
        await tab.click("#edit-guide")
        await tab.run("document.activeElement.blur()")
        for _ in range(12):
            await tab.press("Tab")
            reached.append(await tab.focused())
        controls = {
            "guide-move",
            "guide-size",
            "pause",
            "mirror",
            "edit-guide",
            "reset-guide",
            "file",
        }
        assert controls <= set(reached)

        await tab.run("document.querySelector('#pause').focus()")
        for is_paused in (True, False):
            await tab.press(" ")
            app.until(lambda now: now["settings"]["paused"] is is_paused)  # noqa: B023
            await shows(tab, "pause", is_paused)
        for handle, side in (("guide-move", 0), ("guide-size", 2)):
            await tab.run(f"document.querySelector('#{handle}').focus()")
            before = app.verdict()["settings"]["box"]
            await tab.press("ArrowLeft")
            app.until(lambda now: now["settings"]["box"][side] < before[side])  # noqa: B023
        await tab.click("#reset-guide")

        nodes = (await tab.call("Accessibility.getFullAXTree"))["nodes"]
        nameless = [
            node["role"]["value"]
            for node in nodes
            if not node["ignored"]
            and node["role"]["value"]
            in ("button", "canvas", "image", "list", "region", "group", "listitem")
            and any(
                p["name"] == "focusable" and p["value"]["value"] for p in node.get("properties", [])
            )
            and not node.get("name", {}).get("value")
        ]
        assert nameless == []

    visit(app, "desk", steps)


def test_change_that_is_refused_is_shown_to_everybody(app):
    refusal = "document.querySelector('#refusal')"

    async def steps(tab):
        await tab.run("window.asked = window.fetch")
        wrong = "JSON.stringify({ paused: 'perhaps' })"
        await tab.run(f"window.fetch = (path, what) => asked(path, {{ ...what, body: {wrong} }})")
        await tab.click("#pause")
        await tab.until(f"{refusal}.textContent.includes('paused must be true or false')")
        assert await tab.run(f"{refusal}.getBoundingClientRect().height > 10")
        await tab.run("window.fetch = () => Promise.reject(new TypeError())")
        await tab.click("#pause")
        await tab.until(f"{refusal}.textContent.includes('The app does not answer')")
        await tab.run("window.fetch = asked")
        for is_on in (True, False):
            await tab.click("#mirror")
            await shows(tab, "mirror", is_on)
        await tab.until(f"{refusal}.textContent === ''")

    async def take():
        async with Browser() as browser:
            tab = await browser.tab()
            await open_page(tab, app, "phone")
            await steps(tab)

    asyncio.run(take())


def test_focus_can_be_seen(app):
    async def steps(tab):
        while await tab.focused() != "pause":
            await tab.press("Tab")
        style = "getComputedStyle(document.querySelector('#pause'))"
        assert await tab.run(f"{style}.outlineStyle") == "solid"
        assert await tab.run(f"parseFloat({style}.outlineWidth)") >= 2

    visit(app, "desk", steps)


def test_two_tabs_and_a_viewer_that_never_reads(app):
    async def take():
        async with Browser() as browser:
            with socket.create_connection(("127.0.0.1", app.port)) as stuck:
                stuck.sendall(
                    f"GET /stream.mjpg HTTP/1.1\r\nHost: 127.0.0.1:{app.port}\r\n\r\n".encode()
                )
                tabs = [await browser.tab(), await browser.tab()]
                for tab in tabs:
                    await open_page(tab, app, "phone")
                for tab in tabs:
                    await tab.call("Page.bringToFront")
                    await tab.until("document.querySelectorAll('#bars li').length === 5")
                    assert tab.complaints == []

    asyncio.run(take())


def test_page_says_so_when_the_app_is_stopped():
    app = App()

    async def take():
        async with Browser() as browser:
            tab = await browser.tab()
            try:
                await open_page(tab, app, "phone")
            finally:
                app.stop()
            await tab.until("document.querySelector('#state').dataset.status === 'lost'")
            await tab.until(
                "document.querySelector('#message').textContent.includes('does not answer')"
            )

    asyncio.run(take())
