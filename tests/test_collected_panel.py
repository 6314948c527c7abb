"""Tests of the page's panel of collected pictures, through a real server."""

import json
from pathlib import Path

import numpy as np
import pytest

from garmentlite.edge.camera_state import CameraState, CameraStatus
from garmentlite.edge.collected import CollectedPictures, CollectRequest
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.edge.page.collected_panel import collected_panel
from garmentlite.edge.sinks.collected import CollectedSink


@pytest.fixture
def sink(tmp_path):
    folder = tmp_path / "collected"
    with CollectedSink(
        CollectedPictures(CollectRequest(folder), FASHION_MNIST_LABELS, print)
    ) as made:
        yield made


@pytest.fixture
def page(serve, sink):
    return serve(features=[collected_panel(sink)])


@pytest.fixture
def show(sink, make_sighting):
    """Holds different garments up, one after the other."""
    rng = np.random.default_rng(0)

    def hold_up(count=1, **options):
        for _ in range(count):
            sighting = make_sighting(**{"confidence": 0.95, **options})
            image_u8 = rng.integers(0, 256, (28, 28), np.uint8)
            object.__setattr__(sighting.answer_to_frame, "image_u8", image_u8)
            sink.show(sighting)

    return hold_up


def get(page, path="/collected"):
    return json.loads(page.ask(path)[2])


def post(page, path, document, status=200):
    found, _, body = page.ask(path, method="POST", body=json.dumps(document))
    assert found == status, body
    return json.loads(body) if found == 200 else body.decode()


def test_panel_keeps_the_garment_in_view_and_shows_it(page, show):
    assert get(page)["pictures"] == []
    show(label="Coat")
    assert post(page, "/collected/keep", {"label": "Shirt"}) == {"sentence": "The picture is kept."}
    document = get(page)
    (picture,) = document["pictures"]
    assert (picture["label"], picture["answer"], picture["confidence"]) == ("Shirt", "Coat", 0.95)
    assert (document["count"], document["labels"]) == (1, list(FASHION_MNIST_LABELS))
    assert document["bytes"] > 0
    status, headers, content = page.ask(f"/collected/picture?key={picture['key']}")
    assert (status, headers["Content-Type"]) == (200, "image/png")
    assert content.startswith(b"\x89PNG")


def test_panel_keeps_nothing_while_nothing_is_in_view(page, show, sink):
    show()
    sink.show_state(CameraState(CameraStatus.LOST))
    sentence = post(page, "/collected/keep", {"label": None})["sentence"]
    assert "no garment" in sentence
    assert get(page)["count"] == 0


def test_panel_labels_many_at_once(page, show):
    for _ in range(3):
        show()
        post(page, "/collected/keep", {"label": None})
    keys = [picture["key"] for picture in get(page)["pictures"]]
    assert post(page, "/collected/label", {"keys": keys[:2], "label": "Hat"}) == {"changed": 2}
    assert [picture["label"] for picture in get(page)["pictures"]].count("Hat") == 2


def test_panel_deletes_one_and_all(page, show, sink):
    for _ in range(3):
        show()
        post(page, "/collected/keep", {"label": "Bag"})
    gone = get(page)["pictures"][0]["key"]
    assert post(page, "/collected/delete", {"keys": [gone]}) == {"deleted": 1}
    assert page.ask(f"/collected/picture?key={gone}")[0] == 404
    assert post(page, "/collected/delete", {"all": True}) == {"deleted": 2}
    assert get(page)["pictures"] == []
    assert [path for path in sink.collected.folder.rglob("*") if path.is_file()] == []


def test_panel_names_no_file_and_takes_none(page, show, sink):
    show()
    post(page, "/collected/keep", {"label": None})
    (picture,) = sink.collected.pictures()
    text = page.ask("/collected")[2].decode()
    assert picture.id not in text
    assert "unlabelled" not in text
    for key in (picture.id, f"../{picture.path.name}", "%2e%2e%2fpasswd", "/etc/passwd", ""):
        assert page.ask(f"/collected/picture?key={key}")[0] == 404
    assert post(page, "/collected/delete", {"keys": ["../../etc/passwd", picture.id]}) == {
        "deleted": 0
    }


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/collected/keep", {}),
        ("/collected/keep", {"label": 3}),
        ("/collected/keep", {"label": "unknown"}),
        ("/collected/label", {"label": "Bag"}),
        ("/collected/label", {"keys": "abc", "label": "Bag"}),
        ("/collected/label", {"keys": ["KEY"], "label": "../x"}),
        ("/collected/delete", {"all": "yes"}),
        ("/collected/delete", []),
    ],
)
def test_panel_refuses_a_wrong_request_with_a_sentence(page, show, path, document):
    show()
    post(page, "/collected/keep", {"label": None})
    key = get(page)["pictures"][0]["key"]
    if isinstance(document, dict) and document.get("keys") == ["KEY"]:
        document = document | {"keys": [key]}
    assert post(page, path, document, status=400).endswith("\n")
    assert get(page)["pictures"][0]["label"] is None


def test_panel_refuses_keys_that_are_not_texts_with_a_whole_sentence(page):
    sentence = post(page, "/collected/label", {"keys": [1], "label": "Bag"}, status=400)
    assert sentence.startswith("The request cannot be used: keys must be a list of texts")


def test_panel_needs_the_token(serve, sink):
    page = serve("t" * 43, features=[collected_panel(sink)])
    for path in ("/collected", "/collected/picture?key=x", "/features/collected.js"):
        assert page.ask(path)[0] == 401
    for path in ("/collected/keep", "/collected/label", "/collected/delete"):
        assert page.ask(path, method="POST", body="{}")[0] == 401


def test_panel_script_is_sent(page):
    script = page.ask("/features/collected.js")[2].decode()
    static = Path(__file__).parent.parent / "edge" / "page" / "static" / "collected.js"
    assert script == static.read_text("utf-8")
    assert "export function mount(" in script
