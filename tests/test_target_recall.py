from __future__ import annotations

import numpy as np
import pytest

from edge.errors import OptionError
from edge.metrics import confusion_matrix, recall_per_class
from train.target_recall import Target, apply, offset_for, parse

LABELS = ["T-shirt/top", "Shirt", "Coat"]


def made(seed=0, count=300):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, count)
    return y, (rng.normal(0, 1, (count, 3)) + np.eye(3)[y]).astype(np.float32)


@pytest.mark.parametrize("recall", [0.5, 0.8, 0.95, 0.999])
def test_offset_reaches_the_target_and_no_more(recall):
    y, logits = made()
    target = Target("Shirt", 1, recall)
    shift = np.array([0, offset_for(target, y, logits), 0])
    reached = recall_per_class(confusion_matrix(y, (logits + shift).argmax(axis=1), 3))[1]
    assert reached >= recall
    if shift[1]:
        # One image less far: below the target. 2e-3 is twice the margin that is added for ties.
        less = recall_per_class(
            confusion_matrix(y, (logits + shift * [0, 1, 0] - [0, 2e-3, 0]).argmax(1), 3)
        )
        assert less[1] < recall


def test_offset_where_the_recall_is_there_already_is_zero():
    y, logits = made()
    assert offset_for(Target("Shirt", 1, 0.01), y, logits) == 0


@pytest.mark.parametrize(
    "option", ["Shirt", "Shirt=", "=0.9", "Shirt=0", "Shirt=1", "Shirt=nan", "Shirt=two"]
)
def test_parse_of_what_is_no_target_is_refused(option):
    with pytest.raises(OptionError, match="--target-recall takes NAME=RECALL"):
        parse(option, LABELS)


def test_parse_finds_the_class_in_any_case_and_names_the_nearest():
    assert parse("shirt=0.9", LABELS) == Target("Shirt", 1, 0.9)
    with pytest.raises(OptionError, match="did you mean 'Coat'"):
        parse("Coot=0.9", LABELS)


@pytest.mark.tf
def test_apply_moves_one_logit_of_the_network_and_states_the_price(keras):
    y, inputs = made(seed=1)
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    network.set_weights([np.eye(3, dtype=np.float32), np.zeros(3, np.float32)])

    outcome = apply(Target("Shirt", 1, 0.9), network, y, inputs, LABELS)

    moved = np.asarray(network(inputs)) - inputs
    np.testing.assert_allclose(moved[:, 1], outcome.offset, rtol=1e-5)
    np.testing.assert_array_equal(moved[:, [0, 2]], 0)
    assert outcome.recall[0] < 0.9 <= outcome.recall[1]
    assert outcome.paid in ("T-shirt/top", "Coat")
    assert outcome.paid_recall[1] < outcome.paid_recall[0]
