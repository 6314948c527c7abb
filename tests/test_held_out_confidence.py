"""Tests of the temperature and the threshold that a conversion fits on photographs held out of training."""

import json
from dataclasses import replace

import numpy as np
import pytest

from garmentlite.convert.held_out_confidence import find_confidence
from garmentlite.convert.source import find_source
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.errors import DataError
from garmentlite.edge.labels import FASHION_MNIST_LABELS, UNKNOWN
from garmentlite.edge.probabilities import softmax
from garmentlite.edge.recognition import answer_to, name_of
from garmentlite.train import confidence, runs
from garmentlite.train.prediction import predict_logits


@pytest.fixture
def photo_run(trained_keras, made_data, tmp_path):
    """Makes a run of the small network on 200 photographs, of which those in `held` are held out."""

    def make(held, name="photo-run", **changes):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "model.keras").write_bytes(trained_keras.read_bytes())
        config = {
            "network": "tiny", "seed": 3, "class_weights": dict.fromkeys(FASHION_MNIST_LABELS, 1.0),
            "augmentation": {"flip": 0.5}, "photos": {"alone": False, "fold": 1},
        } | changes  # fmt: skip
        (folder / runs.CONFIG).write_text(json.dumps(config))
        (folder / runs.METRICS).write_text("{}")
        x, y = made_data.x_test, made_data.y_test.astype(np.int64)
        grounds = np.zeros((len(x), 3, 28, 28), np.uint8)
        grounds[:, 0] = 255 - x
        np.savez(
            folder / runs.PHOTOS, tiles_u8=x[:, np.newaxis], grounds_u8=grounds, y=y,
            found=np.ones(len(x), bool), is_held_out=np.isin(np.arange(len(x)), held),
            members=np.eye(10, dtype=bool), groups=np.array(FASHION_MNIST_LABELS),
            files=np.array([f"{number}.png" for number in range(len(x))]),
        )  # fmt: skip
        return folder

    return make


def test_find_confidence_without_photographs_held_out_is_none(trained_keras, run_folder, photo_run):
    said = []
    for path in (
        trained_keras,
        run_folder,
        photo_run([], "every", photos={"alone": False, "fold": None}),
    ):
        source = find_source(path, None)
        assert find_confidence(source, say=said.append) is None
    assert [sentence.partition(";")[0] for sentence in said] == [
        f"No 'unknown' threshold is known for {name}, so the files never answer 'unknown'"
        for name in ("tiny", "tiny", "tiny")
    ]


@pytest.mark.parametrize("held", [0, confidence.FEWEST - 1])
def test_find_confidence_of_too_few_says_so_and_of_too_few_that_were_named_is_an_error(
    photo_run, trained_keras, held
):
    said, folder = [], photo_run(np.arange(held))
    source = find_source(folder, None)
    assert find_confidence(source, say=said.append) is None
    assert said == [
        f"{held} photographs were held out, fewer than 50: too few to fit an 'unknown' threshold, so the "
        "files never answer 'unknown'."
    ]
    for one in (source, find_source(trained_keras, None)):
        with pytest.raises(
            DataError, match=rf"^{held} photographs of garments were held out, at least 50"
        ):
            find_confidence(one, [folder])


def test_find_confidence_of_a_run_that_was_raised_says_where_its_photographs_are(photo_run):
    said, folder = [], photo_run(np.arange(120))
    raised = photo_run([], "raised")
    (raised / runs.PHOTOS).unlink()
    source = find_source(raised, None)
    assert find_confidence(source, say=said.append) is None
    assert len(said) == 1
    assert said[0].endswith("--held-out names the run that has it.")
    assert find_confidence(source, [folder]).measured["photographs"] == 120


def test_find_confidence_asks_the_networks_of_the_folds_as_the_device_will(
    photo_run, trained, fit, made_data
):
    first, second = photo_run(np.arange(120), "first"), photo_run(np.arange(120, 200), "second")
    source, said = find_source(first, None), []
    own = find_confidence(source, say=said.append)
    assert (own.measured["runs"], own.measured["photographs"]) == (1, 120)
    both = find_confidence(source, [first, second], said.append)
    assert (both.measured["runs"], both.measured["photographs"]) == (2, 200)
    assert said == [own.in_words(), both.in_words()]
    assert both.measured["grounds"]["images"] == 200
    plain = replace(source, views=("plain",))
    for one, ways in ((source, (1, -1)), (plain, (1,))):
        found = find_confidence(one, [first, second])
        logits = [predict_logits(trained, made_data.x_test[:, :, ::way]) for way in ways]
        answers = np.mean([softmax(part / found.temperature) for part in logits], axis=0)
        hits = answers.argmax(axis=1) == made_data.y_test
        assert found.measured["accuracy"] == pytest.approx(hits.mean(), abs=0.01)  # two near ties
        # Logits are of float32 sums in batches of other sizes.
        expected = np.quantile(answers.max(axis=1), confidence.FALSE_REJECTIONS)
        expected = min(expected, confidence.SUREST_REJECTED)
        assert found.unknown_threshold == pytest.approx(expected, abs=1e-4)
    assert both.unknown_threshold < found.unknown_threshold  # mirrored, its classes are others


def test_find_confidence_of_runs_of_other_classes_or_none_is_refused(photo_run, run_folder):
    source = find_source(photo_run(np.arange(60)), None)
    other = photo_run(np.arange(60, 120), "other", class_weights={"hats": 1.0, "socks": 1.0})
    with pytest.raises(DataError, match=r"--held-out .*other knows other classes \(hats, socks\)"):
        find_confidence(source, [other])
    (run_folder / runs.CONFIG).write_text(json.dumps(source.training))
    with pytest.raises(DataError, match=r"photos\.npz cannot be read"):
        find_confidence(source, [run_folder])
    with pytest.raises(DataError, match=r"is not a finished run: config\.json"):
        find_confidence(source, [run_folder / "none"])


def test_converted_files_carry_temperature_and_threshold_and_call_the_unsure_unknown(
    pipeline, photo_run, made_material, made_data, tmp_path
):
    source = find_source(photo_run(np.arange(200)), None)
    found = find_confidence(source)
    request = pipeline.Request(fine_tune=False)
    done = pipeline.convert(source, tmp_path / "out", made_material, request, confidence=found)
    for path in done.paths.values():
        metadata = Classifier(path).metadata
        assert metadata.temperature == found.temperature
        assert metadata.unknown_threshold == found.unknown_threshold
        assert metadata.views == ("plain", "mirrored")  # `photo_run` trains on mirrored images
    assert done.card["unknown_threshold"] == found.unknown_threshold
    assert done.card["temperature"] == found.temperature
    assert done.card["photographs"] == json.loads(json.dumps(found.measured))
    # The float file answers as the network did: it rejects what was counted, but for one at the threshold.
    classifier = Classifier(done.paths["float32"])
    names = [name_of(answer_to(x, classifier), classifier)[0] for x in made_data.x_test]
    assert abs(names.count(UNKNOWN) - 200 * found.measured["garments_rejected"]) <= 1
    assert names.count(UNKNOWN) >= 1
    # Without it, nothing is.
    plain = pipeline.convert(source, tmp_path / "plain", made_material, request)
    assert plain.card["unknown_threshold"] is None
    assert "photographs" not in plain.card
    classifier = Classifier(plain.paths["float32"])
    names = [name_of(answer_to(x, classifier), classifier)[0] for x in made_data.x_test]
    assert UNKNOWN not in names
