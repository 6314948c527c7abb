import pytest

from garmentlite.edge.errors import OptionError
from garmentlite.edge.guide_box import DEFAULT_BOX, GuideBox, parse_box


def test_parse_box_shares_of_the_frame():
    assert parse_box("0.25, 0.1,0.5,0.9") == GuideBox(0.25, 0.1, 0.5, 0.9)


def test_parse_box_default_of_the_command_line():
    assert parse_box("0.2,0.1,0.6,0.8") == DEFAULT_BOX


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0.2,0.1,0.6",
        "0.2,0.1,0.6,0.8,0",
        "a,b,c,d",
        "nan,0,1,1",
        "0,0,inf,1",
        "0.2;0.1;0.6;0.8",
    ],
)
def test_parse_box_without_four_numbers_is_refused(text):
    with pytest.raises(OptionError, match="four numbers"):
        parse_box(text)


@pytest.mark.parametrize(
    "text", ["0.5,0,0.6,1", "0,0.5,1,0.6", "-0.1,0,0.5,0.5", "0,0,0.01,1", "0,0,1,0", "20,10,60,80"]
)
def test_parse_box_outside_the_frame_is_refused(text):
    with pytest.raises(OptionError, match="within the frame"):
        parse_box(text)


def test_pixels_of_a_frame():
    rows, columns = GuideBox(0.2, 0.1, 0.6, 0.8).pixels((480, 640, 3))
    assert (rows, columns) == (slice(48, 432), slice(128, 512))


def test_pixels_with_a_margin_stay_in_the_frame():
    rows, columns = GuideBox(0.25, 0.1, 0.5, 0.8).pixels((100, 200), margin=0.2)
    assert (rows, columns) == (slice(0, 100), slice(30, 170))


def test_pixels_of_a_tiny_frame_are_never_empty():
    rows, columns = GuideBox(0.5, 0.95, 0.05, 0.05).pixels((4, 4))
    assert rows.stop > rows.start
    assert columns.stop > columns.start
