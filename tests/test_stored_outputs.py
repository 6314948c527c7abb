"""Tests of stored outputs: compared on another machine, from version 0.1.0, and broken."""

import json

import numpy as np
import pytest

from garmentlite.convert.verify.output_comparison import has_tie
from garmentlite.convert.verify.provenance import data_sha256
from garmentlite.convert.verify.stored_outputs import compare_with_stored, save_outputs
from garmentlite.edge.errors import DataError, ModelError
from garmentlite.edge.npz import read_npz, write_npz


@pytest.fixture
def stored(candidate, images_u8, y_true, tmp_path):
    path = tmp_path / "outputs.npz"
    save_outputs(candidate, images_u8, y_true, path)
    return path


def test_compare_with_stored_on_the_same_machine_is_equal(candidate, images_u8, y_true, stored):
    comparison = compare_with_stored(candidate, images_u8, y_true, stored)
    assert comparison.passed
    assert comparison.equal
    assert comparison.outputs.largest_step == 0
    assert "bit for bit" in comparison.sentence
    json.dumps(comparison.as_document(), allow_nan=False)


def test_save_outputs_to_a_name_without_suffix_writes_that_name(
    reference, images_u8, y_true, tmp_path
):
    save_outputs(reference, images_u8, y_true, tmp_path / "outputs")
    assert compare_with_stored(reference, images_u8, y_true, tmp_path / "outputs").equal


def rewritten(path, change):
    """The stored file with its outputs changed, as another machine might have computed them."""
    archive = read_npz(path, "set of stored outputs", "")
    write_npz(
        path, "set of stored outputs", archive.about, {"outputs": change(archive.arrays["outputs"])}
    )
    return path


def test_compare_with_stored_of_one_step_passes_and_is_not_called_equal(
    candidate, images_u8, y_true, stored
):
    def raise_winners(outputs):
        rows = np.arange(10)
        outputs[rows, outputs[:10].argmax(axis=1)] += 1
        return outputs

    comparison = compare_with_stored(candidate, images_u8, y_true, rewritten(stored, raise_winners))
    assert comparison.passed
    assert not comparison.equal
    assert (comparison.outputs.differing_images, comparison.outputs.largest_step) == (10, 1)


def test_compare_with_stored_of_two_steps_fails(candidate, images_u8, y_true, stored):
    def raise_winner(outputs):
        outputs[0, outputs[0].argmax()] += 2
        return outputs

    comparison = compare_with_stored(candidate, images_u8, y_true, rewritten(stored, raise_winner))
    assert not comparison.passed
    assert comparison.outputs.changed_answers == 0


def test_compare_with_stored_of_a_changed_answer_fails(candidate, images_u8, y_true, stored):
    def raise_loser(outputs):
        outputs[0, outputs[0].argmin()] = 127
        return outputs

    comparison = compare_with_stored(candidate, images_u8, y_true, rewritten(stored, raise_loser))
    assert not comparison.passed
    assert comparison.outputs.changed_answers == 1
    assert "1 answers changed" in comparison.sentence


def test_compare_with_stored_of_float_outputs_allows_another_order_of_sums(
    reference, images_u8, y_true, tmp_path
):
    path = tmp_path / "outputs.npz"
    save_outputs(reference, images_u8, y_true, path)
    comparison = compare_with_stored(
        reference,
        images_u8,
        y_true,
        rewritten(path, lambda outputs: outputs * np.float32(1 + 1e-6)),
    )
    assert comparison.passed
    assert not comparison.equal


def test_compare_with_stored_of_another_model_is_refused(reference, images_u8, y_true, stored):
    with pytest.raises(ModelError, match="outputs of another model"):
        compare_with_stored(reference, images_u8, y_true, stored)


def test_compare_with_stored_of_other_images_is_refused(candidate, images_u8, y_true, stored):
    with pytest.raises(DataError, match="other images or labels"):
        compare_with_stored(candidate, images_u8[:500], y_true[:500], stored)


@pytest.mark.parametrize("content", [None, b"", b"PK not really", b"text"])
def test_compare_with_stored_of_a_broken_file_is_one_sentence(
    candidate, images_u8, y_true, tmp_path, content
):
    path = tmp_path / "broken.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match="--save-reference"):
        compare_with_stored(candidate, images_u8, y_true, path)


def test_compare_with_stored_of_a_foreign_npz_is_one_sentence(
    candidate, images_u8, y_true, tmp_path
):
    np.savez(tmp_path / "foreign.npz", outputs=np.zeros((2, 2)))
    with pytest.raises(DataError, match="cannot be read as a set of stored outputs"):
        compare_with_stored(candidate, images_u8, y_true, tmp_path / "foreign.npz")


def test_compare_with_stored_of_pickled_objects_does_not_load_them(
    candidate, images_u8, y_true, tmp_path
):
    np.savez(tmp_path / "pickled.npz", outputs=np.array([{}], object), about=np.array([{}], object))
    with pytest.raises(DataError, match="cannot be read as a set of stored outputs"):
        compare_with_stored(candidate, images_u8, y_true, tmp_path / "pickled.npz")


@pytest.fixture
def stored_by_0_1_0(candidate, images_u8, y_true, tmp_path):
    """A file as version 0.1.0 wrote it."""
    about = {
        "format_version": 1, "model": candidate.path.name, "model_sha256": candidate.sha256,
        "data_sha256": data_sha256(images_u8, y_true), "computed_on": "another machine",
    }  # fmt: skip
    path = tmp_path / "old.npz"
    raw = candidate.raw_outputs(images_u8)
    np.savez_compressed(path, outputs=raw, about=np.array(json.dumps(about)))
    return path


def test_compare_with_outputs_that_version_0_1_0_stored_is_equal(
    candidate, images_u8, y_true, stored_by_0_1_0
):
    comparison = compare_with_stored(candidate, images_u8, y_true, stored_by_0_1_0)
    assert comparison.equal
    assert comparison.stored_on == "another machine"


def test_compare_with_outputs_of_version_0_1_0_of_another_model_is_refused(
    reference, images_u8, y_true, stored_by_0_1_0
):
    with pytest.raises(ModelError, match="outputs of another model"):
        compare_with_stored(reference, images_u8, y_true, stored_by_0_1_0)


@pytest.mark.parametrize("change", [lambda x: x[:-1], lambda x: x.astype(np.int16)])
def test_compare_with_stored_outputs_of_another_shape_or_type_is_refused(
    candidate, images_u8, y_true, stored, change
):
    with pytest.raises(DataError, match="outputs of shape"):
        compare_with_stored(candidate, images_u8, y_true, rewritten(stored, change))


def test_has_tie_finds_shared_largest_outputs_only():
    raw = np.array([[1, 5, 5], [5, 1, 1], [3, 3, 3]], np.int8)
    np.testing.assert_array_equal(has_tie(raw), [True, False, True])
