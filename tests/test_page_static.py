"""Tests of the page's own files: contrast, nothing from elsewhere, a name for every control."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

STATIC = Path(__file__).parent.parent / "edge" / "page" / "static"
CSS = (STATIC / "page.css").read_text(encoding="utf-8")
HTML = (STATIC / "index.html").read_text(encoding="utf-8")
SURFACES = ("ground", "surface", "sunken")
LEAST_CONTRAST = 4.5  # WCAG 2.2, success criterion 1.4.3, for text of any size


def colours(scheme):
    """The colour variables of a scheme; the dark one changes those of the light one."""
    light, dark = re.findall(r":root \{(.*?)\}", CSS, flags=re.DOTALL)[:2]
    texts = [light] if scheme == "light" else [light, dark]
    return {
        name: value for text in texts for name, value in re.findall(r"--([\w-]+): (#\w{6});", text)
    }


def luminance(colour):
    """Relative luminance after WCAG 2.2."""
    shares = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_of_known_colours():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # just not enough


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_of_every_text_is_enough(scheme):
    found = colours(scheme)
    pairs = [
        (text, ground)
        for text in ("text", "quiet", "named", "unsure", "wrong")
        for ground in (*SURFACES, "button")
    ]
    pairs += [("on-pressed", "pressed")]
    for text, ground in pairs:
        assert contrast(found[text], found[ground]) >= LEAST_CONTRAST, (scheme, text, ground)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_of_bars_and_focus_is_enough(scheme):
    found = colours(scheme)
    for mark in ("bar", "named", "focus"):
        # WCAG 2.2, success criterion 1.4.11, for what is not text.
        assert contrast(found[mark], found["surface"]) >= 3, (scheme, mark)


def test_every_colour_of_a_text_is_a_variable():
    assert set(re.findall(r"[^-]color: ([^;]+);", CSS)) <= {
        *(f"var(--{name})" for name in ("text", "quiet", "named", "unsure", "wrong", "on-pressed")),
    }


def test_reduced_motion_is_respected():
    assert re.search(
        r"prefers-reduced-motion: reduce\) \{\s*\*.*transition: none", CSS, flags=re.DOTALL
    )


@pytest.mark.parametrize("path", sorted(STATIC.iterdir()), ids=lambda path: path.name)
def test_nothing_is_loaded_from_elsewhere(path):
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|//[a-z]+\.[a-z]+/|url\(", text)


class Elements(HTMLParser):
    """Collects the elements of a page."""

    def __init__(self):
        super().__init__()
        self.found = []
        self.feed(HTML)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_page_has_no_script_or_style_of_its_own_text():
    for tag, attributes in Elements().found:
        assert tag != "style"
        assert tag != "script" or attributes["src"]
        assert not any(name.startswith("on") or name == "style" for name in attributes)


def test_page_says_its_language_and_tells_the_verdict_politely():
    found = Elements().found
    assert ("html", {"lang": "en"}) in found
    assert [one["id"] for _, one in found if one.get("aria-live") == "polite"] == ["spoken"]
