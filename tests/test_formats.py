"""Tests of the registry of export formats, and of the options of 'cli convert' that come from it."""

import pytest
import typer

from garmentlite import cli
from garmentlite.convert import formats

# Flags of 'cli convert' that are not formats.
OTHER_FLAGS = {"ptq", "allow_float", "c_array", "force"}


def flags():
    """The flags of the command: the names of their options by the name of their parameter."""
    command = typer.main.get_command(cli.app).commands["convert"]
    return {one.name: one.opts for one in command.params if getattr(one, "is_flag", False)}


def test_each_format_has_its_option_and_each_flag_of_a_format_is_registered():
    registered = {one.parameter: one.option for one in formats.FORMATS.values()}
    assert set(flags()) == set(registered) | OTHER_FLAGS
    for parameter, option in registered.items():
        assert option in flags()[parameter]


def test_help_shows_the_text_of_each_format(run):
    text = " ".join(run("convert", "--help").stdout.split())
    for one in formats.FORMATS.values():
        assert one.option in text
        assert one.help.split(";")[0].split(",")[0] in text


def test_each_entry_is_under_its_own_name_and_the_reference_is_one_of_them():
    assert all(name == one.name for name, one in formats.FORMATS.items())
    assert formats.REFERENCE in formats.FORMATS
    assert list(formats.FORMATS)[-1] == "int8"


@pytest.mark.parametrize("name", ["float32", "float16", "int16x8", "int8-weights", "int8"])
def test_options_names_each_format(name):
    assert f"--{name}" in formats.options().split(", ")
