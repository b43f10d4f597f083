"""Serializer fields that take a JSON value of their own type and convert nothing."""

import math

import orjson
import pytest
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from tokens.core.fields import NoUnknownFields, StrictBooleanField, StrictCharField, whole
from tokens.core.http import problem_of


class Example(NoUnknownFields, serializers.Serializer):
    """One of each."""

    text = StrictCharField(max_length=5, required=False)
    prose = StrictCharField(allow_controls=True, required=False)
    flag = StrictBooleanField(required=False)


def complaint(data):
    """The sentence that a client reads about `data`."""
    with pytest.raises(ValidationError) as refused:
        Example().run_validation(data)
    return problem_of(refused.value).message


@pytest.mark.parametrize(
    ("raw", "number"),
    [("1", 1), ("-1", -1), ("1.0", 1), ("1e3", 1000), ("-0.0", 0), ("253402300799999.0", 253_402_300_799_999)],
)
def test_takes_a_whole_number_however_json_writes_it(raw, number):
    assert (whole(orjson.loads(raw)), type(whole(orjson.loads(raw)))) == (number, int)


@pytest.mark.parametrize("value", [1.5, -0.1, math.inf, -math.inf, math.nan, True, False, None, "1", [], {}])
def test_takes_nothing_else_for_a_whole_number(value):
    assert whole(value) is None


@pytest.mark.parametrize("text", ["a", " a ", "äöü", "🙂", "null", "12345"])
def test_keeps_a_string_as_it_came(text):
    assert Example().run_validation({"text": text}) == {"text": text}


@pytest.mark.parametrize("value", [1, 1.5, True, [], {}, ["a"]])
def test_takes_nothing_but_a_string_for_a_string(value):
    assert complaint({"text": value}) == "text: must be a string."


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "must be a string."),
        ("", "must not be empty."),
        ("123456", "must have at most 5 characters."),
        ("a\0b", "must not contain control characters."),
        ("a\nb", "must not contain control characters."),
        ("a\x7f", "must not contain control characters."),
        ("a\x85", "must not contain control characters."),
        ("a\x1b", "must not contain control characters."),
    ],
)
def test_says_what_is_wrong_with_a_string(value, message):
    assert complaint({"text": value}) == f"text: {message}"


def test_takes_control_characters_where_they_are_allowed():
    assert Example().run_validation({"prose": "a\n\tb"}) == {"prose": "a\n\tb"}


def test_refuses_nul_even_there():
    assert complaint({"prose": "a\0b"}) == "prose: must not contain control characters."


@pytest.mark.parametrize("value", [True, False])
def test_takes_a_truth_value(value):
    assert Example().run_validation({"flag": value}) == {"flag": value}


@pytest.mark.parametrize("value", [0, 1, "true", "false", "", "yes", None, [], {}, 1.0])
def test_takes_nothing_else_for_a_truth_value(value):
    assert complaint({"flag": value}) == "flag: must be true or false."


@pytest.mark.parametrize("name", ["txet", "Text", "text ", "__class__", "non_field_errors"])
def test_refuses_a_field_that_is_not_documented(name):
    assert complaint({"text": "a", name: "b"}).endswith("is not a field of this call.")
    assert complaint({name: "b"}).startswith(name)


def test_cuts_the_name_of_an_unknown_field():
    assert complaint({"x" * 1000: 1}) == "x" * 64 + ": is not a field of this call."


def test_says_which_field_is_missing():
    class Strict(serializers.Serializer):
        text = StrictCharField()

    with pytest.raises(ValidationError) as refused:
        Strict().run_validation({})
    assert problem_of(refused.value).message == "text: is required."


@pytest.mark.parametrize("value", ["\ud800", "a\udfff", "ä\udc80"])
def test_refuses_half_a_character(value):
    assert complaint({"text": value}) == "text: must not contain half a surrogate pair."
    assert complaint({"prose": value}) == "prose: must not contain half a surrogate pair."


@pytest.mark.parametrize("code", [*range(1, 0x20), *range(0x7F, 0xA0)])
def test_refuses_every_control_character(code):
    assert complaint({"text": chr(code)}) == "text: must not contain control characters."
