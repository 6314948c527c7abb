"""Recall targets are read as typed, reached by the smallest offsets, and lowered if they contradict."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from garmentlite.edge.errors import OptionError
from garmentlite.edge.metrics import confusion_matrix, recall_per_class
from garmentlite.train.target_recall import (
    MARGIN,
    Outcome,
    apply,
    least_offsets,
    nearest_offsets,
    parse,
)

LABELS = ["T-shirt/top", "Shirt", "Coat"]


def made(seed=0, count=300, classes=3):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, count)
    return y, (rng.normal(0, 1, (count, classes)) + np.eye(classes)[y]).astype(np.float32)


def recalls(y, logits, offsets):
    classes = logits.shape[1]
    return recall_per_class(confusion_matrix(y, (logits + offsets).argmax(axis=1), classes))


# --- as typed


def test_parse_of_nothing_is_no_target():
    assert parse([], LABELS) == {}


@pytest.mark.parametrize(
    "option", ["Shirt", "Shirt=", "=0.9", "Shirt=0", "Shirt=1", "Shirt=nan", "Shirt=two", "all=1"]
)
def test_parse_of_what_is_no_target_is_refused(option):
    with pytest.raises(OptionError, match="--target-recall takes NAME=RECALL"):
        parse([option], LABELS)


def test_parse_finds_the_class_in_any_case_and_names_the_nearest():
    assert parse(["shirt=0.9"], LABELS) == {"Shirt": 0.9}
    with pytest.raises(OptionError, match="did you mean 'Coat'"):
        parse(["Coot=0.9"], LABELS)


@pytest.mark.parametrize(
    "options", [["all=0.8", "shirt=0.9"], ["shirt=0.9", "ALL=0.8"]], ids=["before", "after"]
)
def test_parse_of_all_is_for_the_classes_not_named(options):
    wanted = parse(options, LABELS)
    assert wanted == {"T-shirt/top": 0.8, "Shirt": 0.9, "Coat": 0.8}
    assert list(wanted) == LABELS


# --- one class


@pytest.mark.parametrize("recall", [0.5, 0.8, 0.95, 0.999])
def test_least_offset_of_one_class_reaches_the_target_and_no_more(recall):
    y, logits = made()
    offsets = least_offsets(y, logits, {1: recall})
    assert recalls(y, logits, offsets)[1] >= recall
    assert offsets[[0, 2]].tolist() == [0, 0]
    if offsets[1]:
        # One image less far, and twice the margin that is added for ties: below the target.
        assert recalls(y, logits, offsets - [0, 2 * MARGIN, 0])[1] < recall


def test_least_offset_of_a_share_that_floats_round_up_is_for_that_many_images():
    # 0.07 * 100 is 7.000000000000001: the seventh image, not the eighth.
    behind = np.arange(100.0)
    logits = np.stack([behind, np.zeros(100)], axis=1)
    offsets = least_offsets(np.ones(100, int), logits, {1: 0.07})
    assert offsets[1] == pytest.approx(6 + MARGIN)


def test_least_offset_on_a_tie_puts_the_class_ahead():
    # Of equal logits the first wins, so the second class must be raised by something.
    offsets = least_offsets(np.array([1, 1]), np.zeros((2, 2)), {1: 0.9})
    assert recalls(np.array([1, 1]), np.zeros((2, 2)), offsets)[1] == 1


def test_least_offsets_of_targets_met_already_are_zero():
    y, logits = made()
    np.testing.assert_array_equal(least_offsets(y, logits, {0: 0.01, 1: 0.01, 2: 0.01}), 0)


def test_least_offsets_of_a_class_without_images_are_refused():
    with pytest.raises(ValueError, match="class 2 has a target and no image"):
        least_offsets(np.array([0, 1]), np.zeros((2, 3)), {2: 0.5})


# --- several at once


def test_least_offsets_of_several_classes_are_the_least_of_all_that_reach_them():
    y, logits = made(seed=2, count=90)
    targets = {0: 0.68, 1: 0.72}
    found = least_offsets(y, logits, targets)
    reached = recalls(y, logits, found)
    assert reached[0] >= 0.68
    assert reached[1] >= 0.72
    assert found[2] == 0
    assert (found[:2] > 0).all()
    # No point of a grid that reaches both is below the solution in any component.
    step = 0.05
    grid = np.arange(0, found.max() + 1, step)
    for first, second in itertools.product(grid, grid):
        at = recalls(y, logits, [first, second, 0])
        if at[0] >= 0.68 and at[1] >= 0.72:
            assert first >= found[0] - 2 * MARGIN
            assert second >= found[1] - 2 * MARGIN


def test_nearest_offsets_of_what_is_possible_lower_nothing():
    y, logits = made(seed=2)
    offsets, shortfall = nearest_offsets(y, logits, {0: 0.7})
    assert shortfall == 0
    np.testing.assert_array_equal(offsets, least_offsets(y, logits, {0: 0.7}))


def test_nearest_offsets_of_what_contradicts_lower_all_alike_by_the_least():
    y, logits = made(seed=3)
    targets = {0: 0.95, 1: 0.95, 2: 0.9}
    assert least_offsets(y, logits, targets) is None
    offsets, shortfall = nearest_offsets(y, logits, targets)
    reached = recalls(y, logits, offsets)
    for class_id, recall in targets.items():
        assert reached[class_id] >= recall - shortfall
    # A point less, ten times the last halving, would not do.
    too_high = {class_id: recall - shortfall + 0.01 for class_id, recall in targets.items()}
    assert least_offsets(y, logits, too_high) is None


# --- in a network


@pytest.fixture
def network(keras):
    made_network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    made_network.set_weights([np.eye(3, dtype=np.float32), np.zeros(3, np.float32)])
    return made_network


@pytest.mark.tf
def test_apply_moves_one_logit_of_the_network_and_states_the_price(network):
    y, inputs = made(seed=1)
    outcome = apply({"Shirt": 0.9}, network, y, inputs, LABELS)

    moved = np.asarray(network(inputs)) - inputs
    np.testing.assert_allclose(moved[:, 1], outcome.offsets["Shirt"], rtol=1e-5)
    np.testing.assert_array_equal(moved[:, [0, 2]], 0)
    assert outcome.recall["Shirt"][0] < 0.9 <= outcome.recall["Shirt"][1]
    for number, label in enumerate(LABELS):
        for moment, logits in enumerate((inputs, np.asarray(network(inputs)))):
            assert outcome.recall[label][moment] == recalls(y, logits, 0)[number]
    document = outcome.as_document()
    assert document["targets"] == {"Shirt": 0.9}
    assert document["in_words"] == outcome.sentences()


# --- in words


def outcome_of(before, after, *, shortfall=0.0, shirt=0.5):
    recall = {label: pair for label, *pair in zip(LABELS, before, after, strict=True)}
    return Outcome(
        {"Shirt": 0.9}, shortfall, {"T-shirt/top": 0.0, "Shirt": shirt, "Coat": 0.0},
        recall, (0.85, 0.84), (0.86, 0.83),
    )  # fmt: skip


def test_sentences_name_what_was_raised_and_what_was_lost():
    said = outcome_of([0.90, 0.80, 0.95], [0.85, 0.90, 0.93]).sentences()
    assert said == [
        "Raised outputs: Shirt by 0.500. Macro recall 85.00% -> 84.00%, accuracy 86.00% -> 83.00%.",
        "T-shirt/top lost the most recall: 90.00% -> 85.00%.",
    ]


def test_sentences_where_nothing_was_to_be_done_say_so():
    same = [0.9, 0.95, 0.9]
    assert outcome_of(same, same, shirt=0.0).sentences() == [
        "Every target is met already: no output was raised."
    ]


def test_sentences_without_a_loss_name_no_class():
    said = outcome_of([0.90, 0.80, None], [0.90, 0.90, None]).sentences()
    assert len(said) == 1


@pytest.mark.parametrize(
    ("after", "sentence"),
    [
        pytest.param(
            [0.75, 0.9, 0.95],
            "T-shirt/top is now the hardest class with a recall of 75.0%; before, no class was below 80.0%.",
            id="new-hardest",
        ),
        pytest.param(
            [0.45, 0.9, 0.95],
            "T-shirt/top is given up for it: its recall is only 45.0%.",
            id="given-up",
        ),
    ],
)
def test_sentences_name_a_class_that_lost_too_much(after, sentence):
    assert sentence in outcome_of([0.90, 0.80, 0.95], after).sentences()


def test_sentences_say_that_targets_contradict():
    said = outcome_of([0.90, 0.80, 0.95], [0.85, 0.85, 0.93], shortfall=0.05).sentences()
    assert said[0].startswith("The targets cannot be reached together")
    assert "lowered by 5.0 points" in said[0]
