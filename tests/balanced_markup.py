"""Checks that every tag of HTML or SVG is closed."""

from html.parser import HTMLParser

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
