"""Tests of temperature and threshold on invented answers, and on photographs held out of runs."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from garmentlite.edge.errors import DataError
from garmentlite.edge.metadata import MIRRORED, PLAIN
from garmentlite.edge.probabilities import softmax
from garmentlite.edge.recognition import SURE, mean_over_views
from garmentlite.train import confidence
from garmentlite.train.collection import Collection, LabelledPhoto
from garmentlite.train.confidence import HeldOut
from garmentlite.train.labelling import Labelling
from garmentlite.train.rooms import Rooms
from garmentlite.train.stored_photos import write_photos
from garmentlite.train.tiles import Tiles

CLASSES = 4
BOTH = (PLAIN, MIRRORED)
EVERY = np.eye(CLASSES, dtype=bool)  # photographs are labelled with classes


def held_out(logits, members, *, groups=EVERY, is_empty=None, second=None):
    """Answers to one view or, where `logits` has three axes, to several; with the same second mask."""
    logits = np.asarray(logits, np.float32)
    if is_empty is None:
        is_empty = np.zeros(logits.shape[-2], bool)
    kinds = np.where(is_empty, confidence.GROUND, confidence.PHOTOGRAPH)
    labels = tuple(f"group {number}" for number in range(len(groups)))
    views = logits[np.newaxis] if logits.ndim == 2 else logits
    if second is None:
        second = views
    return HeldOut(np.stack([views, second]), members, members, groups, labels, kinds, 1)


def believable(count, *, seed=0, spread=2.0):
    """Logits, (N, C), and classes drawn with the very probabilities that they say."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, spread, (count, CLASSES))
    y = (softmax(logits).cumsum(axis=1) < rng.random((count, 1))).sum(axis=1)
    return logits, EVERY[np.minimum(y, CLASSES - 1)]


def several_views(logits, seed=1):
    """The same answers from two views: their mean is less sure than each."""
    return logits + np.random.default_rng(seed).normal(0, 0.5, (2, *logits.shape))


# --- temperature


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_fit_finds_the_temperature_that_answers_were_spoiled_by(temperature):
    logits, members = believable(4000)
    found = confidence.fit(held_out(logits * temperature, members))
    # The inverse of the temperature is the maximum-likelihood estimate of a one-parameter exponential
    # family whose score is the logit of the truth less its mean; its deviation is that of the score's mean
    # over the mean of its variance. Four of them, and half a step of the grid.
    p = softmax(logits)
    information = (p * logits**2).sum(axis=1) - (p * logits).sum(axis=1) ** 2
    deviation = temperature / np.sqrt(information.sum())
    assert 4 * deviation < 0.1 * temperature  # so the test says something
    assert found.temperature == pytest.approx(temperature, abs=4 * deviation + 0.005)


def test_fit_of_groups_finds_the_temperature_though_it_is_not_said_which_class():
    logits, members = believable(4000)
    groups = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]], bool)
    of_group = members.copy()
    of_group[members[:, 2:].any(axis=1)] = groups[2]
    found = confidence.fit(held_out(2 * logits, of_group, groups=groups))
    # As above, of the family with three outcomes, the logit of the third that of the sum of two.
    p = softmax(logits)
    last = p[:, 2:].sum(axis=1)
    # The derivative of the logarithm of the group's sum.
    score = (p[:, 2:] * logits[:, 2:]).sum(axis=1) / last
    mean = (p * logits).sum(axis=1)
    information = (p[:, :2] * logits[:, :2] ** 2).sum(axis=1) + last * score**2 - mean**2
    deviation = 2 / np.sqrt(information.sum())
    assert 4 * deviation < 0.2
    assert found.temperature == pytest.approx(2, abs=4 * deviation + 0.005)


def test_fit_judges_the_mean_answer_of_several_views_as_the_device_gives_it():
    logits, members = believable(2000)
    views = several_views(logits)
    found = confidence.fit(held_out(views, members))
    truth = members.argmax(axis=1)

    def loss(temperature):
        mean = softmax(views / temperature).mean(axis=0)
        return -np.log(mean[np.arange(len(truth)), truth]).mean()

    # No other temperature is better; the losses are of float32 answers.
    others = (found.temperature * factor for factor in (0.5, 0.9, 0.97, 1.03, 1.1, 2))
    assert all(loss(found.temperature) <= loss(other) + 1e-5 for other in others)
    alone = confidence.fit(held_out(views[0], members))
    assert found.temperature != alone.temperature


def test_fit_averages_doubtful_answers_over_both_masks_as_the_device_does():
    logits, members = believable(2000)
    first, second = logits[np.newaxis], several_views(logits)[:1]
    found = confidence.fit(held_out(first, members, second=second))
    answers = [
        softmax(np.float32(one[0]) / np.float32(found.temperature)) for one in (first, second)
    ]
    is_sure = answers[0].max(axis=1) >= SURE
    assert 100 < is_sure.sum() < 1900
    expected = np.where(is_sure[:, np.newaxis], answers[0], np.mean(answers, axis=0))
    accuracy = (expected.argmax(axis=1) == members.argmax(axis=1)).mean()
    assert found.measured["accuracy"] == pytest.approx(accuracy, abs=1e-12)
    assert found.temperature != confidence.fit(held_out(first, members)).temperature


def test_fit_takes_nothing_but_garments_to_choose_by():
    logits, members = believable(400)
    rng = np.random.default_rng(2)
    nothing = np.zeros((300, CLASSES), bool)
    is_empty = np.arange(700) >= 600
    alone = confidence.fit(held_out(logits, members))
    both = confidence.fit(
        held_out(
            np.concatenate([logits, rng.normal(0, 9, (300, CLASSES))]),
            np.concatenate([members, nothing]), is_empty=is_empty,
        )
    )  # fmt: skip
    assert (both.temperature, both.unknown_threshold) == (
        alone.temperature,
        alone.unknown_threshold,
    )
    assert "others" not in alone.measured
    assert both.measured["photographs"] == 400
    assert (both.measured["others"]["images"], both.measured["grounds"]["images"]) == (200, 100)


def test_fit_with_too_few_photographs_of_garments_is_one_sentence():
    logits, members = believable(confidence.FEWEST)
    assert confidence.fit(held_out(logits, members)).measured["photographs"] == confidence.FEWEST
    members[7] = False  # one of them is something else
    with pytest.raises(
        DataError, match="49 photographs of garments were held out, at least 50 are needed"
    ):
        confidence.fit(held_out(logits, members))


# --- threshold


@pytest.mark.slow
@pytest.mark.parametrize("count", [50, 173, 4000])
def test_fit_rejects_as_many_garments_as_it_may(count):
    logits, members = believable(count, seed=count)
    views = several_views(logits)
    found = confidence.fit(held_out(views, members))
    p = mean_over_views(softmax(views / found.temperature))
    rejected = p.max(axis=1) < found.unknown_threshold
    # The quantile lies between two photographs: at most one more than the share, at least one less.
    assert abs(rejected.sum() - confidence.FALSE_REJECTIONS * count) <= 1
    assert found.measured["garments_rejected"] == pytest.approx(rejected.mean(), abs=1e-12)
    right = p.argmax(axis=1) == members.argmax(axis=1)
    wrong = (~right[rejected]).mean()
    assert found.measured["wrong_among_them"] == pytest.approx(wrong, abs=1e-12)
    assert found.measured["accuracy"] == pytest.approx(right.mean(), abs=1e-12)
    assert found.measured["accuracy_with_threshold"] == pytest.approx(
        (right & ~rejected).mean(), abs=1e-12
    )


def test_fit_of_answers_that_are_equally_sure_rejects_none_and_is_json():
    logits = np.tile([3.0, 0, 0, 0], (60, 1))
    members = EVERY[[0] * 54 + [1] * 6]
    found = confidence.fit(held_out(logits, members))
    assert found.measured["garments_rejected"] == 0
    assert found.measured["wrong_among_them"] == 0
    json.dumps(found.measured, allow_nan=False)
    assert "0.0% of the garments" in found.in_words()


def test_fit_of_garments_told_with_ease_never_asks_for_certainty():
    members = EVERY[np.arange(80) % CLASSES]
    found = confidence.fit(held_out(members * 50.0, members))
    assert found.unknown_threshold == confidence.SUREST_REJECTED < 1
    assert found.measured["accuracy_with_threshold"] == 1


def test_fit_says_how_others_and_grounds_fare():
    logits, members = believable(500, spread=4)
    unsure = np.random.default_rng(3).normal(0, 0.2, (90, CLASSES))
    none = np.zeros((90, CLASSES), bool)
    found = confidence.fit(
        held_out(
            np.concatenate([logits, unsure]), np.concatenate([members, none]),
            is_empty=np.arange(590) >= 560,
        )
    )  # fmt: skip
    p = softmax(np.concatenate([logits, unsure]) / found.temperature).max(axis=1)
    garments, others, grounds = p[:500], p[500:560], p[560:]
    for name, group in (("others", others), ("grounds", grounds)):
        part = found.measured[name]
        assert part["images"] == len(group)
        assert part["rejected"] == pytest.approx((group < found.unknown_threshold).mean())
        # float32 answers of two garments alike may change places.
        assert part["auroc"] == pytest.approx(pairs(garments, group), abs=1e-3)
        assert part["rejected"] > 0.9  # nothing but garments is so sure
    json.dumps(found.measured, allow_nan=False)


# --- measures


def pairs(higher, lower):
    """AUROC by its definition: every pair, ties half."""
    return np.mean([(one > other) + (one == other) / 2 for one, other in product(higher, lower)])


@pytest.mark.parametrize("seed", range(5))
def test_auroc_is_the_share_of_pairs_in_order_with_ties_half(seed):
    rng = np.random.default_rng(seed)
    higher, lower = rng.integers(0, 6, 31) + 1, rng.integers(0, 6, 17)
    assert np.intersect1d(higher, lower).size  # there are ties
    assert confidence.auroc(higher, lower) == pytest.approx(pairs(higher, lower), abs=1e-12)
    both = confidence.auroc(higher, lower) + confidence.auroc(lower, higher)
    assert both == pytest.approx(1, abs=1e-12)


def test_auroc_at_its_ends():
    assert confidence.auroc(np.array([2.0, 3]), np.array([0.0, 1])) == 1
    assert confidence.auroc(np.array([0.0, 1]), np.array([2.0, 3])) == 0
    assert confidence.auroc(np.ones(3), np.ones(2)) == 0.5
    assert np.isnan(confidence.auroc(np.ones(0), np.ones(2)))
    assert np.isnan(confidence.auroc(np.ones(2), np.ones(0)))


def test_fit_lists_bins_that_add_up_to_the_calibration_error():
    logits, members = believable(700, spread=3)
    found = confidence.fit(held_out(logits * 2, members)).measured
    assert sum(one["photographs"] for one in found["bins"]) == 700
    error = sum(
        one["photographs"] * abs(one["accuracy"] - one["confidence"]) for one in found["bins"]
    )
    assert found["calibration_error"] == pytest.approx(error / 700, abs=1e-6)  # float32 sums
    accuracy = sum(one["photographs"] * one["accuracy"] for one in found["bins"]) / 700
    assert found["accuracy"] == pytest.approx(accuracy, abs=1e-12)
    low, high = found["calibration_error_95"]
    assert low < found["calibration_error"] < high < 0.2


def test_calibration_of_a_class_that_a_group_holds_is_that_of_the_group():
    groups = np.array([[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]], bool)
    probabilities = np.array([
        [0.1, 0.5, 0.3, 0.1],  # a class of the group: together they are 0.8
        [0.1, 0.5, 0.3, 0.1],  # the same answer to something else
        [0.6, 0.2, 0.1, 0.1],  # a class by itself
        [0.2, 0.1, 0.3, 0.4],  # likewise, though the photograph is of the group
    ])  # fmt: skip
    members = groups[[1, 0, 0, 1]]
    sure, right = confidence.calibration(probabilities, members, groups)
    np.testing.assert_allclose(sure, [0.8, 0.8, 0.6, 0.4], atol=1e-12)
    assert right.tolist() == [True, False, True, False]


# --- photographs of runs


NAMES = ("Dress", "footwear", "Bag")
MEMBERS = np.array([[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]], bool)


@pytest.fixture
def make_run(tmp_path):
    """A run's photographs: six, whose tiles are full of their number from 1 on, in two folds.

    The second is of no class, in the fourth no garment was found, and in a piece of the ground of the fifth
    one was found by mistake.
    """

    def make(name, held, *, second_u8=None, members=MEMBERS, rooms=None):
        tiles = np.zeros((6, 1, 28, 28), np.uint8)
        tiles += np.arange(1, 7, dtype=np.uint8).reshape(6, 1, 1, 1)
        tiles[3] = 0
        tiles[:, :, :, :14] *= 10  # brighter on the left
        grounds = np.zeros((6, 3, 28, 28), np.uint8)
        grounds[4, 1] = 99
        second_u8 = tiles[:, 0] if second_u8 is None else second_u8
        found = np.arange(6) != 3
        made = Tiles(
            tiles_u8=tiles, second_u8=second_u8, grounds_u8=grounds, readable=np.ones(6, bool),
            found=found, second_found=second_u8.any(axis=(1, 2)), grounds_found=grounds.any(axis=(2, 3)),
        )  # fmt: skip
        y = np.array([0, -1, 1, 2, 2, 1])
        labelling = Labelling(tuple("abcd"), NAMES, members, y, members[y], own=False)
        photos = [
            LabelledPhoto(Path(f"{number}.png"), f"{number}.png", "", "") for number in range(6)
        ]
        collection = Collection(
            photos, [""] * 6, labelling, np.ones(6, np.float32), np.isin(np.arange(6), held)
        )
        write_photos(tmp_path / name, collection, made, rooms, variants=True)
        return tmp_path / name

    return make


class Asked:
    """In place of a network: its logits are the first pixels of an image; notes what it is asked."""

    def __init__(self):
        self.files = []

    def __call__(self, path, images_u8):
        self.files.append(path)
        return np.stack([images_u8[:, 0, 0]] * CLASSES, axis=1).astype(np.float32)


def test_read_held_out_asks_each_network_about_what_it_has_not_seen(make_run):
    first, second = make_run("first", [0, 1, 3]), make_run("second", [2, 4, 5])
    asked = Asked()
    found = confidence.read_held_out([first, second], asked, BOTH)
    assert asked.files == [first / "model.keras", second / "model.keras"]  # once each
    # In order: what was found of the first run, of the second, and the ground taken for a garment.
    assert found.logits[0, 0, :, 0].tolist() == [10, 20, 30, 50, 60, 99]
    assert found.logits[0, 1, :, 0].tolist() == [1, 2, 3, 5, 6, 99]  # mirrored
    # The second mask is the first one.
    np.testing.assert_array_equal(found.logits[1], found.logits[0])
    rows = [np.flatnonzero(row).tolist() for row in found.members]
    assert rows == [[0], [], [1, 2], [3], [1, 2], []]
    assert found.is_garment.tolist() == [True, False, True, True, True, False]
    assert found.kinds.tolist() == [confidence.PHOTOGRAPH] * 5 + [confidence.GROUND]
    assert found.runs == 2
    np.testing.assert_array_equal(found.groups, MEMBERS)


def test_read_held_out_for_a_network_that_knows_nothing_mirrored_shows_it_nothing_so(make_run):
    found = confidence.read_held_out([make_run("one", [0, 2])], Asked(), (PLAIN,))
    assert found.logits[:, :, :, 0].tolist() == [[[10, 30]], [[10, 30]]]


def test_read_held_out_reads_second_masks_where_there_are_any(make_run):
    second = np.zeros((6, 28, 28), np.uint8)
    second[2, :, :14], second[2, :, 14:] = 200, 7
    run = make_run("doubtful", [0, 1, 2, 4], second_u8=second)
    found = confidence.read_held_out([run], Asked(), BOTH)
    assert found.logits[:, :, :, 0].tolist() == [
        [[10, 20, 30, 50, 99], [1, 2, 3, 5, 99]],
        # Of the first, second and fifth photograph no garment is found; the ground is judged once.
        [[0, 0, 200, 0, 99], [0, 0, 7, 0, 99]],
    ]


def test_read_held_out_of_runs_that_share_photographs_is_refused(make_run):
    first, second = make_run("first", [0, 1, 2]), make_run("second", [2, 4, 5])
    with pytest.raises(
        DataError, match=r"second holds out photographs that another run holds out too, .* 2\.png;"
    ):
        confidence.read_held_out([first, second], Asked(), BOTH)
    with pytest.raises(DataError, match="another run holds out too"):
        confidence.read_held_out([first, first], Asked(), BOTH)


def test_read_held_out_of_runs_with_other_labels_is_refused(make_run):
    other = make_run("other", [1], members=np.eye(3, dtype=bool))
    with pytest.raises(DataError, match=r"other are labelled otherwise than those of .*first;"):
        confidence.read_held_out([make_run("first", [0]), other], Asked(), BOTH)


@pytest.mark.parametrize("held", [[], [3]])
def test_read_held_out_without_any_garment_gives_none(make_run, held):
    asked = Asked()
    found = confidence.read_held_out([make_run("all", held)], asked, BOTH)
    assert found.logits.shape == (2, 2, 0, CLASSES)
    assert asked.files == []
    with pytest.raises(DataError, match=r"^0 photographs of garments were held out"):
        confidence.fit(found)


def test_read_held_out_of_a_run_without_photographs_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match=r"photos\.npz cannot be read"):
        confidence.read_held_out([tmp_path], Asked(), BOTH)


def test_fit_says_how_many_answers_are_accepted_and_what_is_answered_instead():
    members = EVERY[np.arange(80) % CLASSES]
    accepted = members.copy()
    accepted[::8, 1] = True  # half of class 0 could also be class 1
    logits = members * 5.0
    logits[::8] = [0, 5, 0, 0]  # and is answered so
    asked = replace(held_out(logits, members), accepted=accepted)
    measured = confidence.fit(asked).measured
    assert (measured["accuracy"], measured["accepted"]) == (7 / 8, 1)
    first = measured["per_group"][0]
    assert (first["photographs"], first["recall"], first["accepted"]) == (20, 0.5, 1)
    assert first["answers"] == [10, 10, 0, 0]
    assert measured["macro_recall"] == pytest.approx(3.5 / 4)


def test_read_held_out_asks_about_the_rooms_that_are_held_out(make_run):
    rooms = Rooms(
        tiles_u8=np.full((3, 28, 28), 7, np.uint8) * np.arange(1, 4, dtype=np.uint8)[:, None, None],
        second_u8=np.zeros((3, 28, 28), np.uint8),
        second_found=np.zeros(3, bool),
        is_whole=np.ones(3, bool),
        is_held_out=np.array([True, False, True]),
        pictures_held_out=4,
    )
    found = confidence.read_held_out([make_run("a", [0, 1], rooms=rooms)], Asked(), BOTH)
    is_room = found.kinds == confidence.ROOM
    assert found.logits[0, 0, is_room, 0].tolist() == [7, 21]
    assert not found.logits[1][:, is_room].any()  # the second mask shows nothing
    assert not found.is_garment[is_room].any()
