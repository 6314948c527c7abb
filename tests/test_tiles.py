"""Tests of the 28x28 images of photographs, of their variants, and of pieces of background."""

import numpy as np
import pytest

from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.errors import DataError
from garmentlite.edge.files import sha256
from garmentlite.edge.pictures import read_picture
from garmentlite.edge.preparation import preparations, prepare
from garmentlite.edge.segmenters.border import BorderSegmenter
from garmentlite.train import empty_scenes, tiles
from garmentlite.train.collection import LabelledPhoto
from garmentlite.train.held_variants import Backgrounds
from garmentlite.train.tiles import GROUNDS, HELD_UP, RESEGMENTED, Tiles, make_tiles


class CountingSegmenter(BorderSegmenter):
    """The device's, which counts how often it is asked."""

    def __init__(self):
        self.asked = 0

    def segment(self, rgb):
        self.asked += 1
        return super().segment(rgb)


def photo_of(path):
    return LabelledPhoto(path, path.name, "Dress", "A test"), sha256(path.read_bytes())


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Eight drawn photographs, an empty wall and a broken file, as (photograph, checksum)."""
    pytest.importorskip("cv2", reason="needs OpenCV (the `headless` extra)")
    image = pytest.importorskip("PIL.Image")
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(2)
    for number in range(8):
        scene = draw_scene(("Dress", "Sneaker", "Bag")[number % 3], rng, (96, 96))
        image.fromarray(scene.rgb).save(root / f"{number}.png")
    image.fromarray(np.full((80, 60, 3), 190, np.uint8)).save(root / "wall.png")
    (root / "broken.jpg").write_bytes(b"no picture")
    names = [*(f"{number}.png" for number in range(8)), "wall.png", "broken.jpg"]
    return [photo_of(root / name) for name in names]


@pytest.fixture
def save(tmp_path):
    """Saves pixels, uint8 of shape (H, W, 3 or 4), as a photograph."""
    pytest.importorskip("cv2", reason="needs OpenCV (the `headless` extra)")
    image = pytest.importorskip("PIL.Image")

    def saved(name, pixels):
        image.fromarray(pixels).save(tmp_path / name)
        return photo_of(tmp_path / name)

    return saved


def tiles_of(photos, *, segmenter=None, seed=1, variants=2, **options):
    chosen, checksums = zip(*photos, strict=True)
    segmenter = segmenter or BorderSegmenter()
    return make_tiles(chosen, checksums, segmenter, seed, variants=variants, **options)


def asked_for(photos, **options):
    """How often the segmenter is asked."""
    segmenter = CountingSegmenter()
    tiles_of(photos, segmenter=segmenter, **options)
    return segmenter.asked


def same(one, other):
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in vars(one))


def test_make_tiles_begins_with_the_tile_of_the_device_and_goes_on_with_others(photos):
    said, seen = [], []
    tiles = tiles_of(photos, warn=said.append, on_progress=lambda *report: seen.append(report))
    assert tiles.tiles_u8.shape == (10, 3, 28, 28)
    assert tiles.grounds_u8.shape == (10, GROUNDS, 28, 28)
    assert tiles.tiles_u8.dtype == tiles.grounds_u8.dtype == np.uint8
    # This segmenter has no second mask.
    np.testing.assert_array_equal(tiles.second_u8, tiles.tiles_u8[:, 0])
    assert tiles.found.tolist() == [True] * 8 + [False] * 2
    assert tiles.readable.tolist() == [True] * 9 + [False]
    assert not tiles.grounds_found[8:].any()  # a wall without a garment is not looked at in pieces
    np.testing.assert_array_equal(tiles.second_found, tiles.found)
    np.testing.assert_array_equal(tiles.found, tiles.tiles_u8.any(axis=(1, 2, 3)))
    np.testing.assert_array_equal(tiles.grounds_found, tiles.grounds_u8.any(axis=(2, 3)))
    assert len(said) == 1
    assert "broken.jpg" in said[0]
    assert seen[-1] == (10, 10)
    for (photo, _), of_photo in zip(photos[:8], tiles.tiles_u8, strict=False):
        device = prepare(read_picture(photo.path), BorderSegmenter()).image_u8
        np.testing.assert_array_equal(of_photo[0], device)
        assert (of_photo[0] != of_photo[1]).any()
        assert (of_photo[1] != of_photo[2]).any()


def test_make_tiles_of_a_photograph_do_not_depend_on_the_others_but_on_the_seed(photos):
    every, few = tiles_of(photos), photos[7:3:-1]
    alone = tiles_of(few)
    np.testing.assert_array_equal(alone.tiles_u8, every.tiles_u8[7:3:-1])
    np.testing.assert_array_equal(alone.grounds_u8, every.grounds_u8[7:3:-1])
    other = tiles_of(few, seed=2).tiles_u8
    np.testing.assert_array_equal(other[:, 0], every.tiles_u8[7:3:-1, 0])
    assert (other[:, 1:] != every.tiles_u8[7:3:-1, 1:]).any()


def test_make_tiles_without_photographs_are_none():
    tiles = make_tiles([], [], BorderSegmenter(), seed=1, variants=2)
    assert tiles.tiles_u8.shape == (0, 3, 28, 28)
    assert tiles.grounds_u8.shape == (0, GROUNDS, 28, 28)


def test_make_tiles_asks_for_a_photograph_half_its_variants_and_each_piece_of_its_ground(save):
    # Beside this garment there is room for pieces of a quarter and so for every one, beside the second
    # for none of a fifth.
    roomy, filled = (np.full((100, 100, 3), 90, np.uint8) for _ in range(2))
    roomy[30:70, 40:60] = 220
    filled[12:88, 12:88] = 220
    photos = [save("roomy.png", roomy), save("filled.png", filled)]
    assert asked_for(photos[:1], variants=0) == 1 + GROUNDS
    assert asked_for(photos[1:], variants=0) == 1
    assert asked_for(photos[:1], variants=5) == 1 + 2 + GROUNDS
    assert asked_for(photos[:1], variants=40) == 1 + RESEGMENTED + GROUNDS
    tiles = tiles_of(photos)
    assert tiles.found.all()
    assert not tiles.grounds_u8.any()  # nothing stands out from this ground


def test_make_tiles_with_backgrounds_adds_variants_and_changes_no_other_tile(photos):
    plain, held = tiles_of(photos[:3]), tiles_of(photos[:3], backgrounds=Backgrounds([], []))
    assert held.tiles_u8.shape[1] == plain.tiles_u8.shape[1] + HELD_UP
    np.testing.assert_array_equal(held.tiles_u8[:, :3], plain.tiles_u8)
    np.testing.assert_array_equal(held.grounds_u8, plain.grounds_u8)
    assert held.tiles_u8[:, 3:].any(axis=(2, 3)).all()


def test_make_tiles_holds_garments_up_and_takes_another_variant_where_that_fails(
    photos, monkeypatch
):
    held = tiles_of(photos[:4], backgrounds=Backgrounds([], [])).tiles_u8[:, 3:]
    monkeypatch.setattr(tiles, "held_up_picture", lambda *arguments: None)
    none = tiles_of(photos[:4], backgrounds=Backgrounds([], [])).tiles_u8[:, 3:]
    assert none.any(axis=(2, 3)).all()
    assert (held != none).any(axis=(1, 2, 3)).sum() >= 2  # the garment was held up


def test_make_tiles_with_other_backgrounds_prepares_cached_photographs_again(photos, tmp_path):
    said, cache = [], tmp_path / "tiles.npz"
    for backgrounds in (None, Backgrounds([], []), Backgrounds([], [])):
        tiles_of(photos[:1], backgrounds=backgrounds, cache=cache, warn=said.append)
    assert len(said) == 1
    assert "prepared with other options" in said[0]


def test_make_tiles_of_a_large_photograph_makes_variants_of_what_was_recognized(save):
    large = np.full((900, 1000, 3), 90, np.uint8)
    large[300:700, 350:600] = 220
    tiles = tiles_of([save("large.png", large)], variants=4).tiles_u8[0]
    assert tiles.any(axis=(1, 2)).all()
    # The garment stands upright and is wider than half its height, in every variant.
    columns = (tiles > 0).any(axis=1).sum(axis=1)
    assert ((columns > 10) & (columns < 28)).all()


class Mistaken(BorderSegmenter):
    """After the photograph itself, it finds another part of the picture than the garment."""

    def __init__(self):
        self.asked = 0

    def segment(self, rgb):
        mask = super().segment(rgb)
        self.asked += 1
        return mask if self.asked == 1 else ~mask


def test_make_tiles_of_a_variant_in_which_something_else_is_found_are_made_in_another_way(photos):
    chosen = photos[:4]
    made = tiles_of(chosen, segmenter=Mistaken(), variants=4).tiles_u8[0]
    assert made.any(axis=(1, 2)).all()
    right = tiles_of(chosen, variants=4).tiles_u8[0]
    np.testing.assert_array_equal(made[0], right[0])
    assert (made[1] != right[1]).any()
    # A garment is light on black, and the ground around it is not taken for one: the middle is garment.
    assert (made[:, 12:16, 12:16] > 0).mean() > 0.5


@pytest.fixture
def dotted(save):
    """Photographs with the garment cut out by hand, on a ground with dots the size of small garments."""
    y, x = np.mgrid[:160, :160]
    dots = (y % 40 - 20) ** 2 + (x % 40 - 20) ** 2 < 100
    rgba = np.full((160, 160, 4), 200, np.uint8)
    rgba[dots, :3] = 30
    rgba[..., 3] = 255 * ((np.abs(x - 80) < 35) & (np.abs(y - 80) < 35))
    rgba[70:90, 70:90, 0] = np.arange(20)
    found = []
    for number in range(6):  # with other bytes each, and so other pieces
        rgba[80, 80, 1] = number
        found.append(save(f"{number}.png", rgba))
    return found


def test_make_tiles_keeps_what_the_device_makes_of_pieces_of_the_ground(dotted):
    tiles = tiles_of(dotted, variants=0, seed=7)
    for (photo, checksum), of_photo in zip(dotted, tiles.grounds_u8, strict=True):
        picture = read_picture(photo.path)
        rng = np.random.default_rng([7, int(checksum, 16)])
        pieces = empty_scenes.around(picture.rgb, picture.alpha >= 128, rng, GROUNDS)
        assert len(pieces) == GROUNDS
        for piece, ground in zip(pieces, of_photo, strict=True):
            device = prepare(piece, BorderSegmenter()).image_u8
            np.testing.assert_array_equal(ground, 0 if device is None else device)
    is_taken = tiles.grounds_found
    np.testing.assert_array_equal(is_taken, tiles.grounds_u8.any(axis=(2, 3)))
    assert 0 < is_taken.sum() < is_taken.size  # of some pieces it says that there is no garment
    every = np.ones(len(dotted), bool)
    np.testing.assert_array_equal(
        tiles.grounds_taken_for_garments(every), tiles.grounds_u8[is_taken]
    )
    assert same(tiles, tiles_of(dotted, variants=0, seed=7))
    assert not same(tiles, tiles_of(dotted, variants=0, seed=8))


def test_grounds_taken_for_garments_are_those_of_the_photographs_chosen():
    grounds = np.zeros((3, 2, 28, 28), np.uint8)
    for value, place in enumerate([(0, 1), (1, 0), (1, 1)], start=1):
        grounds[place][5, 5] = value
    none, no, yes = np.zeros((3, 1, 28, 28), np.uint8), np.zeros(3, bool), np.ones(3, bool)
    tiles = Tiles(none, none[:, 0], grounds, yes, no, no, grounds.any(axis=(2, 3)))

    def shown(*chosen):
        return tiles.grounds_taken_for_garments(np.array(chosen, bool))[:, 5, 5].tolist()

    assert shown(1, 1, 1) == [1, 2, 3]
    assert shown(1, 0, 1) == [1]
    assert shown(0, 0, 1) == []
    assert tiles.grounds_taken_for_garments(np.zeros(3, bool)).shape == (0, 28, 28)


class TwoSidedSegmenter(BorderSegmenter):
    """Has a second mask: the lower part of what it finds, by default half."""

    def __init__(self, share=0.5):
        self.share = share

    def candidate_masks(self, rgb):
        mask = self.segment(rgb)
        yield mask
        lower = mask.copy()
        lower[: round(len(mask) * (1 - self.share))] = False
        yield lower


def test_make_tiles_keeps_what_the_device_makes_of_the_second_mask(photos):
    tiles = tiles_of(photos, segmenter=TwoSidedSegmenter(), variants=1)
    assert tiles.second_u8.shape == (10, 28, 28)
    for (photo, _), first, second in zip(
        photos[:8], tiles.tiles_u8[:, 0], tiles.second_u8, strict=False
    ):
        device = [
            one.image_u8 for one in preparations(read_picture(photo.path), TwoSidedSegmenter())
        ]
        np.testing.assert_array_equal([first, second], device)
    assert tiles.second_u8[:8].any(axis=(1, 2)).all()
    assert not tiles.second_u8[8:].any()  # a wall, a broken file
    tiles = tiles_of(photos[:2], segmenter=TwoSidedSegmenter(share=0), variants=1)
    assert tiles.found.all()
    assert not tiles.second_found.any()
    assert not tiles.second_u8.any()  # the other way finds no garment


# --- the cache


def test_make_tiles_finds_a_photograph_and_its_grounds_in_the_cache(photos, dotted, tmp_path):
    every = [*photos, *dotted]
    cache, segmenter = tmp_path / "tiles.npz", CountingSegmenter()
    whole = asked_for(every)
    first = tiles_of(every[:12], segmenter=segmenter, cache=cache)
    assert segmenter.asked == asked_for(every[:12]) < whole
    both = tiles_of(every, segmenter=segmenter, cache=cache)  # goes on where it was
    assert segmenter.asked == whole
    np.testing.assert_array_equal(both.tiles_u8[:12], first.tiles_u8)
    assert same(both, tiles_of(every))
    assert same(both, tiles_of(every, segmenter=segmenter, cache=cache))
    assert segmenter.asked == whole
    # Other tiles, or another number of them: the cache is not theirs.
    assert asked_for(every, cache=cache, seed=5) == asked_for(every, seed=5) >= 15
    assert asked_for(every, cache=cache, variants=1) == asked_for(every, variants=1) >= 15


def test_make_tiles_says_when_the_cache_is_of_no_use(photos, tmp_path):
    cache, said = tmp_path / "tiles.npz", []
    tiles_of(photos[:2], cache=cache, warn=said.append)
    tiles_of(photos[:3], cache=cache, warn=said.append)
    assert not said
    tiles_of(photos[:3], cache=cache, warn=said.append, seed=5)
    (sentence,) = said
    assert str(cache) in sentence
    assert "prepared again" in sentence


def test_make_tiles_broken_off_keeps_what_is_done(photos, tmp_path):
    cache = tmp_path / "tiles.npz"

    def interrupted(done, of):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tiles_of(photos, cache=cache, on_progress=interrupted)
    assert asked_for(photos, cache=cache) == asked_for(photos[5:])


@pytest.mark.parametrize("content", [b"", b"text", None])
def test_make_tiles_with_a_broken_cache_is_one_sentence(photos, tmp_path, content):
    cache = tmp_path / "tiles.npz"
    tiles_of(photos[:2], cache=cache)
    cache.write_bytes(cache.read_bytes()[:500] if content is None else content)
    with pytest.raises(
        DataError, match=r"cannot be read as a cache of prepared photographs .*; delete it"
    ):
        tiles_of(photos[:2], cache=cache)


def test_make_tiles_of_an_image_in_the_form_of_the_training_images_keeps_it(save):
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4:24, 8:20] = 130
    tiles = tiles_of([save("0.png", pixels)])
    np.testing.assert_array_equal(tiles.tiles_u8[0], [pixels] * 3)
    assert not tiles.grounds_u8.any()  # around it there is no photograph


def test_make_tiles_with_a_cache_of_version_0_1_0_prepares_again_and_says_so(photos, tmp_path):
    cache, said = tmp_path / "tiles.npz", []
    tiles = np.zeros((1, 1 + 2 + 1 + GROUNDS, 28, 28), np.uint8)
    checksum = photos[0][1]
    np.savez(cache, about=np.array("border, seed 1"), checksums=np.array([checksum]), tiles=tiles)
    made = tiles_of(photos[:2], cache=cache, warn=said.append)
    assert made.found.all()
    assert len(said) == 1
    assert said[0].startswith(
        f"The images in {cache} were prepared with other options or by another"
    )
    assert asked_for(photos[:2], cache=cache) == 0


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        pytest.param("photo_variants", "VERSION", 99, id="variants"),
        pytest.param("tiles", "GROUNDS_VERSION", 99, id="grounds"),
        pytest.param("tiles", "PREPARATION", {"name": "other", "version": 1}, id="preparation"),
    ],
)
def test_make_tiles_of_another_version_does_not_use_the_cache(
    photos, tmp_path, monkeypatch, part, name, value
):
    cache = tmp_path / "tiles.npz"
    tiles_of(photos[:2], cache=cache)
    assert asked_for(photos[:2], cache=cache) == 0
    monkeypatch.setattr(f"garmentlite.train.{part}.{name}", value)
    assert asked_for(photos[:2], cache=cache) > 0


def test_make_tiles_with_another_segmenter_or_model_file_does_not_use_the_cache(
    photos, tmp_path, monkeypatch
):
    class Newer(CountingSegmenter):
        version = CountingSegmenter.version + 1

    cache = tmp_path / "tiles.npz"
    tiles_of(photos[:2], cache=cache)
    newer = Newer()
    tiles_of(photos[:2], segmenter=newer, cache=cache)
    assert newer.asked > 0
    (tmp_path / "segmenter.tflite").write_bytes(b"another model")
    monkeypatch.setattr("garmentlite.edge.shipped.FOLDER", tmp_path)
    again = Newer()
    tiles_of(photos[:2], segmenter=again, cache=cache)
    assert again.asked > 0
