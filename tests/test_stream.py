"""Tests of streams of answers: smoothing, scenes, limits, and a source that is always closed."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from garmentlite.edge.camera_recognizer import NOTHING_NEW
from garmentlite.edge.camera_state import CameraState, CameraStatus
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.controls import Controls, Settings
from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.errors import SourceError
from garmentlite.edge.guide_box import GuideBox
from garmentlite.edge.labels import NO_GARMENT, UNKNOWN
from garmentlite.edge.recognizer import Recognizer
from garmentlite.edge.sinks.json_lines import JsonLinesSink
from garmentlite.edge.sources.interface import Frame
from garmentlite.edge.sources.registry import open_source
from garmentlite.edge.stream import FrameRate, GarmentStream, run

MODEL = Path(__file__).parent.parent / "models" / "weighted-cnn_int8.tflite"


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer(Classifier(MODEL), "plain")


class ListSource:
    """Gives the frames of a list; an exception in the list is raised when its turn comes."""

    camera = None

    def __init__(self, items):
        self.items, self.is_open = items, False

    def __enter__(self):
        self.is_open = True
        return self

    def __exit__(self, *exception):
        self.is_open = False

    def __iter__(self):
        for item in self.items:
            if isinstance(item, BaseException):
                raise item
            yield item


class ListSink:
    """Keeps the answers, and has enough after a number of them."""

    def __init__(self, enough=None):
        self.sightings, self.states, self.enough, self.is_open = [], [], enough, False

    def __enter__(self):
        self.is_open = True
        return self

    def __exit__(self, *exception):
        self.is_open = False

    def show(self, sighting):
        assert self.is_open
        self.sightings.append(sighting)
        return len(self.sightings) != self.enough

    def show_state(self, camera):
        assert self.is_open
        self.states.append(camera)
        return len(self.states) < 3


def blank_frame(time, name=None):
    return Frame(np.full((48, 64, 3), 255, np.uint8), time, name)


def boxed_frame(time, name=None):
    """A dark box on white, which any segmenter finds."""
    frame = blank_frame(time, name)
    frame.bgr[8:40, 20:44] = (90, 60, 40)
    return frame


def test_run_test_pattern_to_json_lines(recognizer):
    stream = io.StringIO()
    source = open_source("test-pattern", resolution_wh=(160, 120))
    sink = JsonLinesSink(stream, top_k=2)
    assert run(GarmentStream(source, recognizer), [sink], max_frames=6) == 6
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["time"] for line in lines] == [0.0, 0.067, 0.133, 0.2, 0.267, 0.333]
    for line in lines:
        assert list(line) == [
            "time", "label", "confidence", "top_k", "latency_ms", "preparation", "answer_to_frame",
            "frame_size", "frames_per_second", "clock", "camera",
        ]  # fmt: skip
        assert line["label"] in (*recognizer.classifier.labels, UNKNOWN, NO_GARMENT)
        assert list(line["latency_ms"])[:3] == ["capture", "segment", "prepare"]
        assert min(line["latency_ms"].values()) > 0
        if line["label"] == NO_GARMENT:
            assert (line["confidence"], line["top_k"]) == (0, [])
        else:
            assert len(line["top_k"]) == 2
            assert line["confidence"] == line["top_k"][0]["probability"]


def test_run_folder_answers_each_picture_on_its_own(recognizer, tmp_path):
    rng = np.random.default_rng(11)
    for number, label in enumerate(("Trouser", "Bag", "Coat")):
        Image.fromarray(draw_scene(label, rng).rgb).save(tmp_path / f"{number}.png")
    (tmp_path / "1b.jpg").write_text("not a picture")
    stream, warnings = io.StringIO(), []
    source = open_source(str(tmp_path), warn=warnings.append)
    assert run(GarmentStream(source, recognizer), [JsonLinesSink(stream)]) == 3
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(warnings) == 1
    for number, line in enumerate(lines):
        path = tmp_path / f"{number}.png"
        alone = recognizer.recognize(path).as_document(3)
        assert line["name"] == str(path)
        for key in ("label", "confidence", "top_k", "preparation"):
            assert line[key] == alone[key]


def test_run_still_pictures_are_recognized_as_by_the_recognizer(recognizer, tmp_path):
    rng = np.random.default_rng(5)
    for number in range(3):
        Image.fromarray(draw_scene("Bag", rng).rgb).save(tmp_path / f"{number}.png")
    sink = ListSink()
    run(GarmentStream(open_source(str(tmp_path)), recognizer), [sink])
    for sighting in sink.sightings:
        alone = recognizer.recognize(sighting.frame.picture())
        assert sighting.guide_box is None
        np.testing.assert_array_equal(sighting.recognition.mask, alone.mask)
        np.testing.assert_array_equal(sighting.recognition.image_u8, alone.image_u8)


def test_run_moving_pictures_have_the_guide_box(recognizer):
    box, sink = GuideBox(0.1, 0.1, 0.5, 0.5), ListSink()
    run(GarmentStream(ListSource([boxed_frame(0.0)]), recognizer, box=box), [sink])
    assert sink.sightings[0].guide_box == box


def test_run_again_forgets_the_scene(recognizer):
    frames = [blank_frame(number / 10) for number in range(20)]
    stream = GarmentStream(ListSource(frames), recognizer)
    for _ in range(2):
        sink = ListSink()
        run(stream, [sink])
        reasons = [sighting.recognition.reason for sighting in sink.sightings]
        assert reasons[0] != NOTHING_NEW
        assert reasons[-1] == NOTHING_NEW


def test_run_smooths_frames_of_one_scene(recognizer):
    frames = [boxed_frame(0.0), blank_frame(0.1), blank_frame(0.9)]
    sink = ListSink()
    run(GarmentStream(ListSource(frames), recognizer), [sink])
    first, bridged, gone = (sighting.recognition for sighting in sink.sightings)
    assert first.label != NO_GARMENT
    assert bridged.label == first.label
    assert bridged.confidence == pytest.approx(first.confidence)
    assert bridged.image_u8 is None
    assert bridged.scores[0].label == first.label
    assert (gone.label, gone.confidence) == (NO_GARMENT, 0)


def test_run_does_not_smooth_over_pictures_of_different_names(recognizer):
    sink = ListSink()
    frames = [boxed_frame(0.0, "a.png"), blank_frame(0.1, "b.png")]
    run(GarmentStream(ListSource(frames), recognizer), [sink])
    assert sink.sightings[1].recognition.label == NO_GARMENT


@pytest.mark.parametrize(("max_frames", "expected"), [(2, 2), (None, 3), (9, 3)])
def test_run_looks_at_no_more_frames_than_asked(recognizer, max_frames, expected):
    frames = [blank_frame(number) for number in range(3)]
    sink = ListSink()
    looked_at = run(GarmentStream(ListSource(frames), recognizer), [sink], max_frames=max_frames)
    assert looked_at == len(sink.sightings) == expected


def test_run_ends_when_the_sink_has_enough(recognizer):
    source, sink = ListSource([blank_frame(number) for number in range(9)]), ListSink(enough=2)
    assert run(GarmentStream(source, recognizer), [sink]) == 2
    assert not source.is_open
    assert not sink.is_open


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SourceError("lost")])
def test_run_closes_source_and_sinks_when_interrupted(recognizer, error):
    source, sink = ListSource([blank_frame(0.0), error]), ListSink()
    with pytest.raises(type(error)):
        run(GarmentStream(source, recognizer), [sink])
    assert len(sink.sightings) == 1
    assert not source.is_open
    assert not sink.is_open


def test_frame_rate_of_n_moments_is_n_minus_1_over_their_span():
    rate = FrameRate()
    assert [rate.tick(seconds) for seconds in (5.0, 6.0, 7.0)] == [0.0, 1.0, 1.0]
    for number in range(100):
        last = rate.tick(8 + number / 10)
    assert last == pytest.approx(10)


def test_run_goes_on_for_the_others_when_one_sink_has_enough(recognizer):
    frames = [blank_frame(number) for number in range(9)]
    first, second = ListSink(enough=3), ListSink()
    assert run(GarmentStream(ListSource(frames), recognizer), [first, second]) == 9
    assert [one.frame.time for one in first.sightings] == [0, 1, 2]
    assert [one.frame.time for one in second.sightings] == list(range(9))
    assert not first.is_open
    assert not second.is_open


def test_stream_closes_its_source_when_the_loop_is_left_by_an_exception(recognizer):
    source = ListSource([blank_frame(number) for number in range(9)])

    def look(stream):
        for sighting in stream:
            assert source.is_open
            raise ValueError(sighting.recognition.label)

    with (
        pytest.raises(ValueError, match=NO_GARMENT),
        GarmentStream(source, recognizer) as stream,
    ):
        look(stream)
    assert not source.is_open


def test_stream_finds_the_source_that_is_named(recognizer):
    with GarmentStream("test-pattern", recognizer) as stream:
        first = next(iter(stream))
    assert first.frame.bgr.shape == (480, 640, 3)
    assert first.recognition.mask.shape == (480, 640)
    with pytest.raises(SourceError, match="There is no source 'nothing'"):
        GarmentStream("nothing", recognizer)


def test_stream_warns_of_a_picture_that_cannot_be_read(recognizer, tmp_path):
    (tmp_path / "text.jpg").write_text("not a picture")
    with (
        GarmentStream(tmp_path, recognizer) as stream,
        pytest.warns(UserWarning, match="text.jpg is not a picture"),
    ):
        assert list(stream) == []


def test_stream_read_outside_its_block_says_how_to_open_it(recognizer):
    stream = GarmentStream("test-pattern", recognizer)
    with pytest.raises(RuntimeError, match="with GarmentStream"):
        next(iter(stream))


def test_run_into_a_broken_pipe_ends_quietly(recognizer):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        source = ListSource([blank_frame(number) for number in range(5)])
        looked_at = run(GarmentStream(source, recognizer), [JsonLinesSink(stream)])
        assert looked_at == 1
        stream.flush()  # as Python does at exit; what could not be written is gone


def test_stream_whose_controls_change_follows_them_at_the_next_frame(recognizer):
    left, right = GuideBox(0.0, 0.0, 0.5, 1.0), GuideBox(0.5, 0.0, 0.5, 1.0)
    frames = [boxed_frame(number / 10) for number in range(9)]
    with GarmentStream(ListSource(frames), recognizer, box=left) as stream:
        answers = iter(stream)
        assert next(answers).guide_box == left
        stream.controls.change(box=right, is_mirrored=True)
        changed = next(answers)
        assert changed.guide_box == right
        np.testing.assert_array_equal(changed.frame.bgr, frames[1].bgr[:, ::-1])
        stream.controls.change(is_stopped=True)
        assert next(answers, None) is None


def test_paused_stream_tells_its_sinks_and_answers_nothing(recognizer):
    sink = ListSink()
    controls = Controls(Settings(is_paused=True))
    stream = GarmentStream(ListSource([blank_frame(0.0)]), recognizer, controls=controls)
    assert run(stream, [sink]) == 0
    assert [state.status for state in sink.states] == [CameraStatus.PAUSED] * 3
    assert sink.sightings == []


class CameraSource(ListSource):
    """A list of frames and states, as a camera gives them."""

    camera = CameraState(CameraStatus.OK, reconnects=3)


@pytest.mark.parametrize("source", [None, True, 1.5, object()])
def test_stream_of_what_is_no_source_is_a_sentence(recognizer, source):
    with pytest.raises(SourceError, match="is no source of frames; give"):
        GarmentStream(source, recognizer)


def test_stream_passes_on_states_and_gives_the_camera_with_each_answer(recognizer):
    lost, ok = CameraState(CameraStatus.LOST, "It is unplugged."), CameraState(CameraStatus.OK)
    items = [blank_frame(0.0), ok, lost, lost, blank_frame(9.0)]
    with GarmentStream(CameraSource(items), recognizer) as stream:
        events = list(stream.events())
    assert events[1:3] == [lost, lost]
    assert [event.camera for event in (events[0], events[3])] == [CameraSource.camera] * 2
    assert len(events) == 4


def test_stream_yields_answers_only_where_states_come_between(recognizer):
    items = [blank_frame(0.0), CameraState(CameraStatus.BLACK), blank_frame(1.0)]
    with GarmentStream(CameraSource(items), recognizer) as stream:
        assert [sighting.frame.time for sighting in stream] == [0.0, 1.0]


def test_stream_does_not_show_an_old_answer_after_the_camera_was_black(recognizer):
    black = CameraState(CameraStatus.BLACK)
    items = [boxed_frame(0.0), black, blank_frame(0.1)]
    with GarmentStream(CameraSource(items), recognizer) as stream:
        labels = [sighting.recognition.label for sighting in stream]
    assert labels[0] != NO_GARMENT
    assert labels[1] == NO_GARMENT  # without the state, a garment is not forgotten so soon


def test_stream_learns_the_scene_again_after_the_camera_was_lost(recognizer):
    empty = [blank_frame(number / 10) for number in range(20)]
    later = [blank_frame(10 + number / 10) for number in range(20)]
    lost = CameraState(CameraStatus.LOST)
    with GarmentStream(CameraSource([*empty, lost, *later]), recognizer) as stream:
        reasons = [sighting.recognition.reason for sighting in stream]
    assert reasons[19] == NOTHING_NEW
    assert reasons[20] != NOTHING_NEW
    assert reasons[39] == NOTHING_NEW


def test_stream_that_is_stopped_while_the_camera_is_lost_ends(recognizer):
    lost = CameraState(CameraStatus.LOST)
    with GarmentStream(CameraSource([lost] * 9), recognizer) as stream:
        events = stream.events()
        assert next(events) == lost
        stream.controls.change(is_stopped=True)
        assert next(events, None) is None


def test_stream_turns_frames_before_it_mirrors_them(recognizer):
    frame = boxed_frame(0.0)
    controls = Controls(Settings(rotation=90, is_mirrored=True))
    with GarmentStream(ListSource([frame]), recognizer, controls=controls) as stream:
        (sighting,) = stream
    np.testing.assert_array_equal(sighting.frame.bgr, np.rot90(frame.bgr, -1)[:, ::-1])


def test_run_a_sink_that_has_enough_stops_the_controls(recognizer):
    stream = GarmentStream(ListSource([blank_frame(0.0), blank_frame(0.1)]), recognizer)
    run(stream, [ListSink(enough=1)])
    assert stream.controls.settings.is_stopped


def test_paused_camera_stream_goes_on_with_a_new_frame_and_a_video_with_the_same(recognizer):
    for kind, expected in ((CameraSource, [1.0]), (ListSource, [0.0, 1.0])):
        controls = Controls(Settings(is_paused=True))
        source = kind([blank_frame(0.0), blank_frame(1.0)])
        with GarmentStream(source, recognizer, controls=controls) as stream:
            events = stream.events()
            assert next(events).status is CameraStatus.PAUSED
            controls.change(is_paused=False)
            assert [event.frame.time for event in events] == expected


def test_stream_that_is_mirrored_learns_the_scene_again(recognizer):
    frames = [blank_frame(number / 10) for number in range(40)]
    with GarmentStream(ListSource(frames), recognizer) as stream:
        reasons = []
        for sighting in stream:
            reasons.append(sighting.recognition.reason)
            stream.controls.change(is_mirrored=len(reasons) >= 20)
    assert reasons[19] == NOTHING_NEW
    assert reasons[20] != NOTHING_NEW
    assert reasons[39] == NOTHING_NEW
