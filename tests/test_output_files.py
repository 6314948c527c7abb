"""Tests of the place of the files that a conversion writes."""

import pytest

from garmentlite.convert import output_files
from garmentlite.edge.errors import OutputError


def test_require_place_for_files_that_are_there_needs_force(tmp_path):
    paths = output_files.output_paths(tmp_path, "net")
    output_files.require_place_for(paths, force=False)
    paths["card"].write_text("older")
    with pytest.raises(OutputError, match=r"net\.json already there; --force replaces"):
        output_files.require_place_for(paths, force=False)
    output_files.require_place_for(paths, force=True)
    assert paths["card"].read_text() == "older"


def test_require_place_below_a_file_is_refused_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="Cannot write"):
        output_files.require_place_for(
            output_files.output_paths(tmp_path / "file" / "out", "net"), force=True
        )


def test_place_for_the_files_is_checked_without_making_their_folder(tmp_path):
    output_files.require_place_for({"int8": tmp_path / "new" / "a.tflite"}, force=False)
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        output_files.require_place_for({"int8": tmp_path / "file" / "a.tflite"}, force=False)
