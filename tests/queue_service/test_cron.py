"""`H` in cron expressions: the same numbers as everybody's, and refusals that say what is wrong."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labs.queue_service.cron import MAX_LENGTH, hash_of, hashed, read
from labs.queue_service.errors import BadMessage


@pytest.mark.parametrize(
    ("expression", "job_id", "plain"),
    [
        ("H H H H H", 123, "9 21 5 10 4"),
        ("H H H H H", 777, "18 18 28 7 3"),
        ("H H H H H", 1234, "33 9 13 10 0"),
        ("H H H H H", 1, "16 4 20 5 1"),
        ("* H(0-5) * * *", 123, "9 3 * * *"),
        ("* H/2 * * *", 123, "9 21/2 * * *"),
    ],
)
def test_an_h_becomes_the_number_that_the_job_has_everywhere(
    expression: str, job_id: int, plain: str
) -> None:
    assert hashed(expression, job_id) == plain


def test_the_number_behind_it_is_the_same_for_ever() -> None:
    assert hash_of("123") == 193361109
    assert hash_of("9007199254740991") < 1 << 32


@pytest.mark.parametrize(
    "minute", ["5", "*", "*/10", "0,30", "60", "H/15", "H,30", "h", "?", "rubbish"]
)
def test_nobody_can_choose_a_minute(minute: str) -> None:
    assert hashed(f"{minute} 4 * * *", 123) == "9 4 * * *"


@pytest.mark.parametrize(
    ("minute", "plain"),
    [("H", "9"), ("H(0-5)", "3"), ("H(40-40)", "40"), ("H(0-5),H(30-59)", "3,39")],
)
def test_but_part_of_the_hour(minute: str, plain: str) -> None:
    assert hashed(f"{minute} * * * *", 123) == f"{plain} * * * *"


def test_each_part_of_a_list_is_hashed_by_itself_and_the_rest_stays() -> None:
    assert hashed("H H,3,H(0-5) 1-10/2 JAN mon-fri", 123) == "9 21,3,3 1-10/2 JAN mon-fri"


def test_spaces_around_and_between_do_not_matter() -> None:
    assert hashed("  H \t H(0-5)  * *\n* ", 123) == "9 3 * * *"


@pytest.mark.parametrize("expression", ["", "H", "H H H H", "H H H H H H", "@daily"])
def test_what_has_not_five_fields_is_refused_with_its_text_and_their_number(
    expression: str,
) -> None:
    with pytest.raises(BadMessage) as refused:
        hashed(expression, 1)

    assert refused.value.field == "cron"
    assert repr(expression) in str(refused.value)
    assert f"has {len(expression.split())} fields, not 5" in str(refused.value)
    assert "minute, hour, day of month, month and day of week" in refused.value.remedy


@pytest.mark.parametrize(
    ("expression", "wrong", "expected"),
    [
        ("H(0-60) * * * *", "H(0-60)", "0-59"),
        ("H(5-4) * * * *", "H(5-4)", "0-59"),
        ("H H(0-24) * * *", "H(0-24)", "0-23"),
        ("H * H(0-5) * *", "H(0-5)", "1-31"),
        ("H * * H(1-13) *", "H(1-13)", "1-12"),
        ("H * * * H(0-7)", "H(0-7)", "0-6"),
        ("H 24 * * *", "24", "0-23"),
        ("H * 0 * *", "0", "1-31"),
        ("H * * 13 *", "13", "1-12"),
        ("H * * * 8", "8", "0-6"),
        ("H 5-1 * * *", "5-1", "0-23"),
        ("H */0 * * *", "*/0", "0-23"),
        ("H H(1-2)/3 * * *", "H(1-2)/3", "0-23"),
        ("H h * * *", "H", "0-23"),
        ("H ? * * *", "?", "0-23"),
        ("H ,, * * *", ",,", "0-23"),
        ("H ٣ * * *", "٣", "0-23"),
        ("xH(0-5) * * * *", "XH(0-5)", "0-59"),
    ],
)
def test_a_field_that_cannot_be_meant_is_named_with_what_was_expected(
    expression: str, wrong: str, expected: str
) -> None:
    with pytest.raises(BadMessage) as refused:
        hashed(expression, 1, field="job.permutations.0.annotations")

    assert refused.value.field == "job.permutations.0.annotations"
    assert repr(expression) in str(refused.value)
    assert wrong in str(refused.value).replace(repr(expression), "")
    assert re.search(rf"expected .*{expected}", str(refused.value))
    assert refused.value.remedy


@pytest.mark.parametrize("expression", ["H H 30 2 *", "H H 31 4,6,9,11 ?"])
def test_a_day_that_never_comes_is_refused(expression: str) -> None:
    with pytest.raises(BadMessage, match="asks for a day that never comes") as refused:
        hashed(expression, 1)

    assert repr(expression) in str(refused.value)


def test_no_expression_is_long_enough_to_keep_anybody_busy() -> None:
    hashed("H " + ",".join(["1"] * 100) + " * * *", 1)
    with pytest.raises(BadMessage, match=f"has {MAX_LENGTH} letters at most"):
        hashed("H " + "9" * MAX_LENGTH + " * * *", 1)


WORDS = st.sampled_from(
    ["H", "*", "?", "L", "LW", "5L", "MON#2", "FEB", "H(1-3)", "H/2", "H/0", "7"]
)
FIELD = st.one_of(
    WORDS,
    st.text("0123456789HL#?*/,-() W", min_size=1, max_size=6),
    st.lists(WORDS, min_size=1, max_size=3).map(",".join),
)


@settings(deadline=None)
@given(st.one_of(st.text(), st.lists(FIELD, min_size=5, max_size=5).map(" ".join)), st.integers(1))
def test_any_text_is_understood_or_refused(expression: str, job_id: int) -> None:
    plain = ""
    with suppress(BadMessage):
        plain = hashed(expression, job_id)
    if plain:
        assert hashed(expression, job_id) == plain
        assert read(plain, field="cron").minutes <= set(range(60))
        if "H(" not in expression.split()[0]:
            assert plain.split()[0] == str(hash_of(str(job_id)) % 60)
