"""Work on all cores gives the same results on any number of them; no interpreter runs in two threads."""

import numpy as np
import pytest

from garmentlite.edge import all_cores
from garmentlite.edge.classifier import Classifier


def raw_of(classifier, images_u8, monkeypatch, cores):
    monkeypatch.setattr(all_cores.os, "cpu_count", lambda: cores)
    monkeypatch.setattr(all_cores, "CHUNK", 50)
    (raw,) = all_cores.raw_outputs([classifier], images_u8)
    return raw


@pytest.mark.parametrize("cores", [1, 3, 64])
def test_raw_outputs_on_any_number_of_cores_are_those_of_one_loop(
    candidate, images_u8, monkeypatch, cores
):
    expected = candidate.raw_outputs(images_u8)
    np.testing.assert_array_equal(raw_of(candidate, images_u8, monkeypatch, cores), expected)


def test_raw_outputs_never_run_one_interpreter_in_two_threads(candidate, images_u8, monkeypatch):
    running: dict[int, int] = {}
    seen = set()
    original = Classifier.raw_outputs

    def watched(self, part):
        running[id(self)] = running.get(id(self), 0) + 1
        assert running[id(self)] == 1
        seen.add(id(self))
        try:
            return original(self, part)
        finally:
            running[id(self)] -= 1

    monkeypatch.setattr(Classifier, "raw_outputs", watched)
    raw_of(candidate, images_u8, monkeypatch, 4)
    assert 1 <= len(seen) <= 4


def test_raw_outputs_of_a_file_that_changed_meanwhile_are_of_the_one_that_was_read(
    candidate, images_u8, monkeypatch
):
    expected = candidate.raw_outputs(images_u8)
    candidate.path.write_bytes(b"another")
    np.testing.assert_array_equal(raw_of(candidate, images_u8, monkeypatch, 4), expected)
    candidate.path.unlink()
    np.testing.assert_array_equal(raw_of(candidate, images_u8, monkeypatch, 4), expected)


def test_raw_outputs_that_fail_end_at_once(candidate, images_u8, monkeypatch):
    asked = []

    def broken(self, part):
        asked.append(len(part))
        raise RuntimeError("out of order")

    monkeypatch.setattr(Classifier, "raw_outputs", broken)
    with pytest.raises(RuntimeError, match="out of order"):
        raw_of(candidate, images_u8, monkeypatch, 1)
    assert len(asked) < len(images_u8) // 50  # the others were never begun


def test_raw_outputs_of_two_models_at_once_are_those_of_each(
    float_classifier, candidate, images_u8, monkeypatch
):
    monkeypatch.setattr(all_cores, "CHUNK", 70)  # not a divisor of 1,200
    seen = []
    both = all_cores.raw_outputs(
        [float_classifier, candidate, candidate], images_u8, lambda *call: seen.append(call)
    )
    for raw, classifier in zip(both, (float_classifier, candidate, candidate), strict=True):
        np.testing.assert_array_equal(raw, classifier.raw_outputs(images_u8))
    assert seen == sorted(seen)
    assert seen[-1] == (len(images_u8), len(images_u8))


@pytest.mark.parametrize("count", [1, 3])
def test_share_out_returns_the_results_in_the_order_of_the_tasks(count):
    calls = []
    results = all_cores.share_out(
        list(range(count)), range(20), lambda _, task: task**2, lambda *call: calls.append(call)
    )
    assert results == [task**2 for task in range(20)]
    assert calls == [(done, 20) for done in range(1, 21)]
