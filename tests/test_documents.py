"""Tests of JSON documents whose size, depth, types and ranges are checked."""

import pytest

from garmentlite.edge.documents import DEEPEST, DocumentError, is_one_line, parse, printable


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "not JSON", id="empty"),
        pytest.param('{"a": 1', "not JSON", id="half"),
        pytest.param("[1]", "not a JSON object", id="list"),
        pytest.param(b"\xff\xfe{}", "not UTF-8", id="other-encoding"),
        pytest.param('{"a": NaN}', "NaN is not a number", id="nan"),
        pytest.param('{"a": -Infinity}', "-Infinity is not a number", id="infinity"),
        pytest.param('{"a": 1, "a": 2}', "'a' is there twice", id="twice"),
        pytest.param("[" * 100_000, "deeper", id="deep-unclosed"),
        pytest.param('{"a":' * DEEPEST + "{}" + "}" * DEEPEST, "deeper", id="deep"),
        pytest.param('{"a": ' + "9" * 5000 + "}", "not JSON", id="digits"),
        pytest.param(" " * 2000, "larger than", id="large"),
    ],
)
def test_parse_of_a_bad_document_says_why(text, message):
    with pytest.raises(DocumentError, match=message):
        parse(text, largest=1000 if message == "larger than" else 1 << 20)


def test_parse_of_a_text_above_a_small_limit_names_the_limit():
    with pytest.raises(DocumentError, match="larger than 4,096 bytes"):
        parse(" " * 5000, largest=4096)


def test_parse_reads_a_byte_order_mark_and_the_deepest_document_that_is_allowed():
    assert parse("\ufeff{}".encode()).fields == {}
    deep = '{"a":' * (DEEPEST - 1) + "{}" + "}" * (DEEPEST - 1)
    assert "a" in parse(deep).fields


@pytest.mark.parametrize(
    ("method", "arguments", "good", "bad"),
    [
        ("text", (), '"a"', ["1", "null", "[]"]),
        ("line", (), '"a"', ["1", '"a\\nb"']),
        ("texts", (), '["a", "b"]', ['"a"', "[1]", '["\\u001b[2J"]', '["a\\nb"]', "{}"]),
        ("integer", (0, 9), "9", ["10", "-1", "1.0", "true", '"1"']),
        ("number", (0.0, 1.0), "0.5", ["1.1", "-0.1", "true", '"1"', "1e999"]),
        ("number", (), "-7", ["1" + "0" * 400, "null"]),
        ("positive_number", (), "1e-300", ["0", "-1", "1e-400", "false"]),
        ("object", (), "{}", ["[]", "null"]),
    ],
)
def test_a_field_of_another_type_or_range_is_refused_by_name(method, arguments, good, bad):
    getattr(parse(f'{{"field": {good}}}'), method)("field", *arguments)
    for value in bad:
        with pytest.raises(DocumentError, match="field must be"):
            getattr(parse(f'{{"field": {value}}}'), method)("field", *arguments)
    with pytest.raises(DocumentError, match="'field' is missing"):
        getattr(parse("{}"), method)("field", *arguments)


def test_require_fields_names_what_is_missing_and_what_is_unknown():
    document = parse('{"a": 1, "b": 2}')
    document.require_fields(["a"], ["a", "b"])
    with pytest.raises(DocumentError, match="'c' is missing"):
        document.require_fields(["c"], ["a", "b", "c"])
    with pytest.raises(DocumentError, match="'b' is unknown"):
        document.require_fields(["a"], ["a"])


def test_printable_escapes_what_steers_a_terminal_and_leaves_the_rest():
    assert printable("Größe 服 👗‍") == "Größe 服 👗‍"
    assert printable("a\x1b[2Jb\nc\x9b\udcff\u202e") == r"a\x1b[2Jb\nc\x9b\udcff\u202e"
    assert is_one_line("Größe")
    assert not is_one_line("a\nb")
