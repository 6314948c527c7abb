"""Tests of the page's panels in a real browser, headless Chromium: collected pictures, and the model."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
from chromium import CHROMIUM, PATIENCE, Browser  # noqa: E402

OLD, NEW = (ROOT / "models" / f"{name}_int8.tflite" for name in ("weighted-cnn", "garment-net"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium)"),
]


@pytest.fixture
def app(tmp_path):
    """`cli webcam` with both panels, in a process of its own; its address and the folder of its pictures."""
    watched, folder = tmp_path / "current.tflite", tmp_path / "collected"
    shutil.copy(NEW, watched)
    shutil.copy(OLD, tmp_path / "current.previous.tflite")
    process = subprocess.Popen(
        [sys.executable, "cli.py", "webcam", "--source", "test-pattern", "--headless", "--serve",
         "127.0.0.1:0", "--collect", folder, "--watch-model", watched],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process.stderr.readline().split()[-1], folder
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


def visit(url, width, height, steps):
    """Opens the page and takes steps on it; nothing may be complained of in the browser's console."""

    async def take():
        async with Browser() as browser:
            tab = await browser.tab()
            await tab.open(url, width, height)
            await tab.until("document.querySelector('#state')?.dataset.status === 'ok'")
            await tab.until("document.querySelector('#model-back') !== null")  # the last panel
            await steps(tab)
            assert tab.complaints == []

    asyncio.run(take())


def pictures_in(folder):
    return [path for path in folder.rglob("*.png") if ".details" not in path.parts]


@pytest.mark.parametrize("size", [(360, 740), (1280, 800)], ids=["phone", "desk"])
def test_panel_keeps_labels_and_deletes_pictures(app, size):
    url, folder = app
    message = "document.querySelector('.collected-message').textContent"
    items = "document.querySelectorAll('.collected-list li')"

    async def steps(tab):
        root = "document.documentElement"
        await tab.until("document.querySelector('#label').textContent.length > 2")
        await tab.click("#collected-keep")
        await tab.until(f"{items}.length >= 1")
        await tab.until(f"{root}.scrollWidth <= {root}.clientWidth")
        await tab.until("document.querySelector('.collected-list img').naturalWidth > 27")

        await tab.run("document.querySelector('#collected-label').value = 'Hat'")
        await tab.click("#collected-choose")
        await tab.until("!document.querySelector('#collected-relabel').disabled")
        await tab.click("#collected-relabel")
        await tab.until(f"{message}.includes('labelled Hat')")
        assert {path.parent.name for path in pictures_in(folder)} >= {"Hat"}

        await tab.click(".collected-list input")
        await tab.click("#collected-delete")
        await tab.until(f"{message} === '1 picture deleted.'")
        await tab.run("window.confirm = () => true")
        await tab.click("#collected-keep")
        await tab.until("!document.querySelector('#collected-delete-all').disabled")
        await tab.click("#collected-delete-all")
        await tab.until(f"{message}.endsWith('deleted.') && {message} !== '1 picture deleted.' || "
                        f"{items}.length === 0")  # fmt: skip

    visit(url, *size, steps)


def test_controls_of_the_panels_have_names_and_are_reached_by_tab(app):
    url, _ = app

    async def steps(tab):
        await tab.click("#collected-keep")
        await tab.until("document.querySelectorAll('.collected-list li').length >= 1")
        await tab.run("document.querySelector('#file').focus()")
        reached = []
        for _ in range(12):
            await tab.press("Tab")
            reached.append(await tab.focused())
        assert {"collected-label", "collected-keep", "collected-choose", "model-back"} <= set(
            reached
        )
        nodes = (await tab.call("Accessibility.getFullAXTree"))["nodes"]
        roles = ("button", "checkbox", "combobox", "textbox", "table", "region", "image")
        nameless = [
            node["role"]["value"]
            for node in nodes
            if not node["ignored"]
            and node["role"]["value"] in roles
            and not node.get("name", {}).get("value")
        ]
        assert nameless == []

    visit(url, 1280, 800, steps)


def test_panel_goes_back_to_the_model_before(app):
    url, _ = app
    name = "document.querySelector('#model-name')?.textContent"

    async def steps(tab):
        await tab.until(f"{name}?.startsWith('garment-net ')")
        await tab.click("#model-back")
        await tab.until(f"{name}?.startsWith('weighted-cnn ')")

    visit(url, 800, 480, steps)
