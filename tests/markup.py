"""Checks of HTML and SVG: a text with markup is escaped in it, and every tag is closed."""

from html.parser import HTMLParser

HOSTILE = '<script>alert("1 & 2")</script>'
VOID = {"meta", "img", "br"}


class _Balance(HTMLParser):
    """Fails where a tag is closed that is not open; `open_tags` must end empty."""

    def __init__(self):
        super().__init__()
        self.open_tags = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open_tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open_tags.pop() == tag


def assert_balanced(markup: str) -> None:
    parser = _Balance()
    parser.feed(markup)
    parser.close()
    assert not parser.open_tags


def assert_escaped(markup: str) -> None:
    """Fails unless `HOSTILE` is in the markup as text alone."""
    assert "<script" not in markup
    assert '"1 & 2"' not in markup
    assert "&lt;script&gt;" in markup
