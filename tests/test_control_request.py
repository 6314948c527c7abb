"""Tests of the controls that a page or a program sends."""

import pytest

from garmentlite.edge.documents import DocumentError
from garmentlite.edge.errors import OptionError
from garmentlite.edge.guide_box import GuideBox
from garmentlite.edge.page.control_request import changes_of


def test_changes_of_a_request_are_those_it_names():
    assert changes_of(b"{}") == {}
    assert changes_of(b'{"paused": true}') == {"is_paused": True}
    assert changes_of(b'{"mirrored": false, "box": [0, 0, 1, 0.5]}') == {
        "is_mirrored": False,
        "box": GuideBox(0.0, 0.0, 1.0, 0.5),
    }


@pytest.mark.parametrize(
    ("body", "error", "sentence"),
    [
        (b"", DocumentError, "not JSON"),
        (b"[]", DocumentError, "not a JSON object"),
        (b'{"zoom": 2}', DocumentError, "there is no control 'zoom'"),
        (b'{"paused": 1}', DocumentError, "paused must be true or false"),
        (b'{"box": [0, 0, 1]}', DocumentError, "four numbers"),
        (b'{"box": [0, 0, 1, true]}', DocumentError, "four numbers"),
        (b'{"box": [0, 0, 1, NaN]}', DocumentError, "NaN"),
        (b'{"box": [0.5, 0, 1, 1]}', OptionError, "does not lie within the frame"),
        (b'{"box": [0, 0, 1, 1e999]}', OptionError, "does not lie within the frame"),
        (b'{"box": "' + b"x" * 5000 + b'"}', DocumentError, "larger"),
    ],
)
def test_changes_of_a_wrong_request_say_what_is_wrong(body, error, sentence):
    with pytest.raises(error, match=sentence):
        changes_of(body)
