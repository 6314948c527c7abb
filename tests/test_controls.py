import threading

import pytest

from garmentlite.edge.controls import Controls
from garmentlite.edge.guide_box import DEFAULT_BOX, GuideBox


def test_controls_changed_in_one_field_keep_the_others():
    controls = Controls()
    assert controls.settings.box == DEFAULT_BOX
    box = GuideBox(0.1, 0.1, 0.5, 0.5)
    assert controls.change(box=box).box == box
    assert controls.change(is_paused=True) == controls.settings
    assert controls.settings.box == box
    assert controls.settings.is_paused
    assert not controls.settings.is_stopped


def test_controls_changed_in_two_threads_lose_no_change():
    controls = Controls()
    threads = [
        threading.Thread(target=controls.change, kwargs={field: True})
        for field in ("is_mirrored", "is_paused", "is_stopped")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    settings = controls.settings
    assert settings.is_mirrored
    assert settings.is_paused
    assert settings.is_stopped


def test_controls_refuse_a_field_that_is_not_a_setting():
    with pytest.raises(TypeError, match="volume"):
        Controls().change(volume=3)
