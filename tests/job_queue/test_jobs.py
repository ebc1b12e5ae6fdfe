"""A job at the door, and as bytes: what is refused says why, what is taken comes back the same."""

from __future__ import annotations

import json
import math
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.errors import BadInput
from labs.job_queue.jobs import (
    LARGEST_JOB_B,
    LONGEST_DELAY_S,
    JobRefused,
    NotAJob,
    admitted,
    admitted_delay,
    read,
)

CYCLE: dict[str, Any] = {"job_type": "A"}
CYCLE["itself"] = CYCLE
DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]

REFUSED: dict[str, tuple[Any, str]] = {
    "None": (None, r"mapping \(not None\)"),
    "a list": ([{"job_type": "A"}], r"mapping \(not a list\)"),
    "text": ('{"job_type": "A"}', r"mapping \(not a str\)"),
    "a number": (5, r"mapping \(not 5\)"),
    "no type": ({"name": "x"}, "must have a job_type"),
    "nothing": ({}, "must have a job_type"),
    "type None": ({"job_type": None}, r"job_type must be text \(not None\)"),
    "empty type": ({"job_type": ""}, r"job_type must be text \(not empty\)"),
    "blank type": ({"job_type": " \t"}, r"job_type must be text \(not empty\)"),
    "type a number": ({"job_type": 5}, r"job_type must be text \(not 5\)"),
    "type bytes": ({"job_type": b"A"}, r"job_type must be text \(not a bytes\)"),
    "type a list": ({"job_type": ["A"]}, r"job_type must be text \(not a list\)"),
    "id a number": ({"job_type": "A", "job_id": 7}, r"job_id must be text \(not 7\)"),
    "id false": ({"job_type": "A", "job_id": False}, r"job_id must be text \(not False\)"),
    "empty id": ({"job_type": "A", "job_id": ""}, r"job_id must be text \(not empty\)"),
    "long id": ({"job_type": "A", "job_id": "é" * 128}, "more than 255 bytes"),
    "nan": ({"job_type": "A", "x": math.nan}, "not JSON: .* no word for"),
    "infinity": ({"job_type": "A", "x": [math.inf]}, "not JSON: .* no word for"),
    "bytes": ({"job_type": "A", "x": b"raw"}, "not JSON: .*bytes"),
    "a set": ({"job_type": "A", "x": {1}}, "not JSON: .*set"),
    "an object": ({"job_type": "A", "x": object()}, "not JSON: .*object"),
    "a cycle": (CYCLE, "holds itself"),
    "too deep": ({"job_type": "A", "x": DEEP}, "nested too deeply"),
    "a key that is no text": ({"job_type": "A", 5: "x"}, "key 5 is not text"),
    "a key deep inside": ({"job_type": "A", "x": [{"y": {None: 1}}]}, "key None is not text"),
    "half a character": ({"job_type": "A", "x": "\ud800"}, "half a character"),
    "an endless number": ({"job_type": "A", "x": 10**5000}, "not JSON"),
    "too large": ({"job_type": "A", "x": "é" * (LARGEST_JOB_B // 2)}, "1,048,576 are the most"),
}


@pytest.mark.parametrize("which", REFUSED)
def test_what_is_no_job_is_refused_at_the_door_in_words(which: str) -> None:
    job, sentence = REFUSED[which]
    with pytest.raises(JobRefused, match=sentence) as caught:
        admitted(job)
    assert isinstance(caught.value, BadInput)
    assert isinstance(caught.value, ValueError)
    assert str(caught.value).endswith(".")
    assert caught.value.remedy


def test_the_callers_mapping_is_not_changed() -> None:
    job = {"job_type": "A", "job_id": None, "inside": {"x": [1]}}
    before = json.dumps(job)

    admitted(MappingProxyType(job))
    admitted(job)

    assert json.dumps(job) == before


def test_a_job_without_an_id_gets_one_of_its_own_and_none_counts_as_without() -> None:
    ids = {admitted({"job_type": "A", **more})[0] for more in ({}, {"job_id": None}, {})}

    assert len(ids) == 3
    assert all(len(job_id) == 36 for job_id in ids)


def test_an_id_that_the_caller_gives_is_kept() -> None:
    job_id, body = admitted({"job_type": "A", "job_id": "order-7"})

    assert job_id == "order-7"
    assert read(body)["job_id"] == "order-7"


def test_each_job_says_the_version_of_its_form() -> None:
    assert read(admitted({"job_type": "A"})[1])["version"] == "1.0.0"
    assert read(admitted({"job_type": "A", "version": "mine"})[1])["version"] == "1.0.0"


def test_the_bytes_are_json_in_utf8_that_others_can_read() -> None:
    assert '"name":"Zoë"'.encode() in admitted({"job_type": "A", "name": "Zoë"})[1]


words = st.text(st.characters(codec="utf-8"))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | words,
    lambda below: st.lists(below) | st.dictionaries(words, below),
    max_leaves=10,
)


@given(st.dictionaries(words, values))
def test_what_is_taken_comes_back_the_same(rest: dict[str, Any]) -> None:
    job = {**rest, "job_type": "A", "job_id": "1"}

    assert read(admitted(job)[1]) == {**job, "version": "1.0.0"}


POISON = {
    b"[]": "no mapping",
    b"null": "no mapping: None",
    b"5": "no mapping: 5",
    b'"text"': "no mapping",
    b"": "not JSON",
    b"hello": "not JSON",
    b'{"job_type": "A"': "not JSON",
    b'{"job_type": "A", "x": NaN}': "not JSON",
    b"\xff\xfe": "not UTF-8",
    b'{"job_type": "\xe9"}': "not UTF-8",
    '{"job_type": "A"}'.encode("utf-16"): "not UTF-8",
    b"{}": "no job_type",
    b'{"job_type": null}': "job_type is None",
    b'{"job_type": ""}': "job_type is empty",
    b'{"job_type": 5}': "job_type is 5",
    b'{"job_type": {"a": 1}}': "job_type is a dict",
    b'{"job_type": ["A"]}': "job_type is a list",
    b'{"job_type": "A", "job_id": 5}': "job_id is 5",
    b'{"job_type": "A", "job_id": ""}': "job_id is empty",
    b"[" * 100_000: "nested too deeply",
    b'{"job_type": "A", "x": ' + b"9" * 5000 + b"}": "not JSON",
}
"""Messages that are no jobs, and the reason that each is given."""


@pytest.mark.parametrize("body", POISON, ids=lambda body: repr(body[:30]))
def test_bytes_that_are_no_job_say_why(body: bytes) -> None:
    with pytest.raises(NotAJob, match=POISON[body]) as caught:
        read(body)
    assert str(caught.value).endswith(".")


@given(st.binary())
def test_no_bytes_at_all_make_reading_fail_in_another_way(body: bytes) -> None:
    try:
        read(body)
    except NotAJob:
        return


@pytest.mark.parametrize("delay", [-1, math.nan, math.inf, True, "5", None, LONGEST_DELAY_S + 1])
def test_a_delay_that_cannot_be_meant_is_refused(delay: Any) -> None:
    with pytest.raises(JobRefused, match="delay_s must be from 0 to"):
        admitted_delay(delay)


@pytest.mark.parametrize("delay", [0, 0.5, 60, LONGEST_DELAY_S])
def test_a_delay_is_some_seconds(delay: float) -> None:
    assert admitted_delay(delay) == delay
