"""The door: requests become operations, or each field that is wrong is named as it was spelt."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from labs.queue_service import admission
from labs.queue_service.errors import BadMessage
from labs.queue_service.messages import State
from labs.queue_service.operations import Claim, Find, Held, ListMessages, Nack, Replay, Start, Stop
from labs.queue_service.problems import BadRequest, Wrong, error_of, problem_of
from labs.queue_service.shapes_json import read_json
from labs.task_queue.tasks import DEEPEST, Json

KNOWN: dict[str, Json] = {
    "buildId": 4211,
    "jobId": 777,
    "jobName": "main",
    "jobState": "ENABLED",
    "jobArchived": False,
    "blockedBy": [777, 111],
    "freezeWindows": ["* 0-5 ? * MON"],
    "apiUri": "https://api.example",
    "pipeline": {"id": 5, "scmContext": "github:github.com", "configPipelineId": None},
    "isPR": False,
    "prParentJobId": None,
    "causeMessage": "[force start] it must go out",
    "build": {"eventId": 9, "stats": {}},
    "annotations": {
        "screwdriver.cd/collapseBuilds": False,
        "screwdriver.cd/blockedBySameJob": "false",
        "screwdriver.cd/blockedBySameJobWaitTime": "7",
        "screwdriver.cd/virtualJob": True,
        "screwdriver.cd/timeout": "90",
    },
    "container": "node:22",
    "token": "eyJ.of.somebody",
    "buildClusterName": "gpu",
    "provider": {"region": "north"},
}


def wrong(admit: Callable[[], object]) -> set[str]:
    """The fields that a refusal names."""
    with pytest.raises(BadMessage) as refused:
        admit()
    assert refused.value.remedy
    assert all(one.detail for one in problem_of(refused.value).errors)
    return {one.field for one in problem_of(refused.value).errors}


def test_the_known_fields_of_a_start_and_its_annotations_are_understood() -> None:
    start = admission.start(KNOWN)

    assert replace(start, body={}) == Start(
        build_id=4211,
        job_id=777,
        body={},
        job_name="main",
        blocked_by=(777, 111),
        collapse=False,
        blocked_by_same_job=False,
        same_job_wait_s=420.0,
        virtual=True,
        freeze_windows=("* 0-5 ? * MON",),
        force=True,
        cluster="gpu",
    )


def test_what_is_stored_is_what_was_posted_without_token_build_and_cause() -> None:
    assert set(KNOWN) - set(admission.start(KNOWN).body) == {"token", "build", "causeMessage"}
    assert "eyJ" not in repr(admission.start(KNOWN))


def test_two_ids_are_enough_and_the_job_then_blocks_itself_as_is_usual() -> None:
    start = admission.start({"buildId": 1, "jobId": 2})
    assert (start.blocked_by, start.collapse, start.max_attempts) == ((2,), True, 3)
    assert admission.start({"buildId": 1, "jobId": 2, "blockedBy": []}).blocked_by == ()
    assert not start.force


@pytest.mark.parametrize("field", [{"jobState": "DISABLED"}, {"jobArchived": True}])
def test_a_job_that_is_disabled_or_archived_is_said_to_be(field: dict[str, Json]) -> None:
    assert admission.start({"buildId": 1, "jobId": 2, **field}).disabled


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("buildId", "4211", "buildId"),
        ("buildId", None, "buildId"),
        ("buildId", 0, "buildId"),
        ("buildId", 1.5, "buildId"),
        ("buildId", True, "buildId"),
        ("buildId", 2**53 + 1, "buildId"),
        ("jobId", "777", "jobId"),
        ("jobState", "disabled", "jobState"),
        ("jobArchived", "no", "jobArchived"),
        ("blockedBy", "777", "blockedBy"),
        ("blockedBy", [777, "111"], "blockedBy.1"),
        ("freezeWindows", ["* * 1 * MON"], "freezeWindows.0"),
        ("freezeWindows", ["* 0-5 ? * MON", "* *"], "freezeWindows.1"),
        ("pipeline", {"id": "5"}, "pipeline.id"),
        ("pipeline", {"scmContext": "github"}, "pipeline.scmContext"),
        ("isPR", "false", "isPR"),
        ("prParentJobId", "7", "prParentJobId"),
        ("annotations", [], "annotations"),
        ("annotations", {"screwdriver.cd/virtualJob": "maybe"},
         "annotations.screwdriver.cd/virtualJob"),
        ("annotations", {"screwdriver.cd/blockedBySameJobWaitTime": "7 min"},
         "annotations.screwdriver.cd/blockedBySameJobWaitTime"),
        ("buildClusterName", "a\nb", "buildClusterName"),
        ("priority", 40_000, "priority"),
        ("delayS", -1, "delayS"),
        ("maxAttempts", 0, "maxAttempts"),
        ("backoffS", "5", "backoffS"),
    ],
)  # fmt: skip
def test_what_is_mistyped_or_can_not_be_meant_is_named(field: str, value: Json, named: str) -> None:
    assert wrong(lambda: admission.start({**KNOWN, field: value})) == {named}


def test_all_that_is_wrong_is_named_at_once() -> None:
    fields = wrong(lambda: admission.start({"jobId": "x", "blockedBy": ["a", "b"], "isPR": 1}))
    assert fields == {"buildId", "jobId", "blockedBy.0", "blockedBy.1", "isPR"}
    windows = ["x", "* 0-5 ? * MON", "y"]
    assert wrong(lambda: admission.start({"buildId": 1, "jobId": 2, "freezeWindows": windows})) == {
        "freezeWindows.0",
        "freezeWindows.2",
    }
    assert wrong(lambda: admission.start([1])) == {"body"}


def test_a_key_has_a_fingerprint_of_its_request_that_does_not_change_with_the_token() -> None:
    one = admission.start(KNOWN, "key-1")
    assert one.idempotency_key == "key-1"
    again = dict(reversed({**KNOWN, "token": "another"}.items()))
    assert admission.start(again, "key-1").fingerprint == one.fingerprint != ""
    assert admission.start({**KNOWN, "jobId": 778}, "k").fingerprint != one.fingerprint
    assert admission.start(KNOWN).fingerprint == ""


@pytest.mark.parametrize("key", ["", "a b", "ü", "x" * 256, "a\n"])
def test_a_key_that_can_not_be_meant_is_refused(key: str) -> None:
    assert wrong(lambda: admission.idempotency_key(key)) == {"Idempotency-Key"}


# --- JSON -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b'{"a": 1}, 2', "body"),
        (b'{"a": NaN}', "a"),
        (b'{"a": [0, {"b": -Infinity}]}', "a.1.b"),
        (b'{"a": 1e999}', "a"),
        (b'{"a": ' + b"1" * 400 + b".0}", "a"),
        (b'{"a": ' + b"1" * 5000 + b"}", "body"),
        (b'{"buildId": 1, "buildId": 2}', "buildId"),
        (b'{"a": {"b": 1, "c": 2, "b": 1}}', "b"),
        (b'{"a": "half \\ud800"}', "a"),
        (b'{"half \\udc00": 1}', "half \\udc00"),
        (b'{"a": ["x", "nul \\u0000"]}', "a.1"),
        (b'{"a": "\xff"}', "body"),
        (b"\xef\xbb\xbf{}", "body"),
        (b'{"a": ' + b"[" * 300 + b"]" * 300 + b"}", "a"),
        (b"[" * 100_000, "body"),
    ],
)
def test_json_that_could_not_be_kept_is_refused_and_where_it_is_wrong_is_said(
    text: bytes, named: str
) -> None:
    with pytest.raises(BadRequest) as refused:
        read_json(text)
    assert [one.field for one in refused.value.wrong] == [named]


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, 2.5, -3e20, None, True, "ü😀 NaN \\u0000 Infinity", {"b": {}}]},
        [[0] * 500, {}] * 3,
        123456789012345678901234567890,
        json.loads("[" * DEEPEST + "]" * DEEPEST),
    ],
)
def test_other_json_is_read_as_it_is(value: Json) -> None:
    assert read_json(json.dumps(value).encode()) == value
    assert read_json(json.dumps(value, ensure_ascii=False).encode()) == value


# --- Schedules --------------------------------------------------------------------------------


def test_a_schedule_in_our_words_has_a_start_as_its_template() -> None:
    put = admission.put_schedule(
        {
            "jobId": 777,
            "jobName": "nightly",
            "cron": "H H(0-5) * * *",
            "timeZone": "Europe/Berlin",
            "message": {"container": "node", "priority": 3, "token": "secret", "blockedBy": [1]},
        }
    )
    assert (put.job_id, put.cron, put.time_zone) == (777, "H H(0-5) * * *", "Europe/Berlin")
    assert put.body == {"container": "node", "priority": 3, "blockedBy": [1]}
    assert put.template is not None
    assert (put.template.job_name, put.template.priority) == ("nightly", 3)
    assert put.template.blocked_by == (1,)
    assert not put.trigger


def test_a_schedule_in_the_known_services_words_means_the_same() -> None:
    job: dict[str, Any] = {
        "id": 777,
        "name": "nightly",
        "permutations": [
            {
                "annotations": {
                    "screwdriver.cd/buildPeriodically": "H H * * *",
                    "screwdriver.cd/virtualJob": True,
                }
            }
        ],
    }
    put = admission.put_schedule({"job": job, "isUpdate": True, "triggerBuild": True})
    assert (put.job_id, put.job_name, put.cron, put.trigger) == (777, "nightly", "H H * * *", True)
    assert put.template is not None
    assert put.template.virtual
    assert put.template.blocked_by == (777,)

    for field in ({"state": "DISABLED"}, {"archived": True}):
        off = admission.put_schedule({"job": {**job, **field}, "triggerBuild": True})
        assert (off.cron, off.trigger) == (None, False)
    assert admission.put_schedule({"jobId": 777}).cron is None


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"cron": "H * * * *"}, "jobId"),
        ({"jobId": 1, "job": {"id": 2}}, "jobId"),
        ({"jobId": "1"}, "jobId"),
        ({"jobId": 1, "cron": "H * * *"}, "cron"),
        ({"jobId": 1, "cron": "H H(9-30) * * *"}, "cron"),
        ({"jobId": 1, "cron": "H * 30 2 *"}, "cron"),
        ({"jobId": 1, "cron": "H * * * *", "timeZone": "Mars/Base"}, "timeZone"),
        ({"jobId": 1, "cron": "H * * * *", "message": {"priority": "1"}}, "message.priority"),
        ({"jobId": 1, "cron": "H * * * *", "message": {"freezeWindows": ["x"]}},
         "message.freezeWindows.0"),
        ({"jobId": 1, "job": {"permutations": [
            {"annotations": {"screwdriver.cd/buildPeriodically": "x"}}]}},
         "job.permutations.0.annotations.screwdriver.cd/buildPeriodically"),
        ({"jobId": 1, "pipeline": {"id": "x"}}, "pipeline.id"),
    ],
)  # fmt: skip
def test_of_a_schedule_too_what_is_wrong_is_named(given: Json, named: str) -> None:
    assert wrong(lambda: admission.put_schedule(given)) == {named}


# --- The rest ---------------------------------------------------------------------------------


def test_each_verb_makes_its_operation() -> None:
    held = {"id": "7", "owner": "w", "move": 3}
    assert admission.stop({"buildId": 7, "jobId": 1, "blockedBy": []}) == Stop(build_id=7, job_id=1)
    assert admission.claim({"owner": "w", "n": 2.0, "leaseS": 5}) == Claim(
        owner="w", n=2, lease_s=5.0
    )
    assert admission.nack({**held, "reason": "a\0", "final": True}) == Nack(
        held=Held(id="7", owner="w", move=3), reason="a\\x00", final=True
    )
    assert admission.replay({"all": True}) == Replay(ids=None)
    assert admission.replay({"ids": ["7"]}) == Replay(ids=("7",))
    assert admission.find({"buildId": "7"}) == Find(id="7")
    assert admission.find({"jobId": "7"}) == Find(job_id=7)
    assert admission.list_messages({"state": "failed", "limit": "5"}) == ListMessages(
        state=State.FAILED, limit=5
    )


@pytest.mark.parametrize(
    ("admit", "given", "named"),
    [
        (admission.claim, {}, "owner"),
        (admission.claim, {"owner": "w", "waitS": 31}, "waitS"),
        (admission.claim, {"owner": "w", "wait_s": 1}, "wait_s"),
        (admission.claim, {"owner": "w\0"}, "owner"),
        (admission.ack, {"id": "7", "owner": "w"}, "move"),
        (admission.ack, {"id": 7, "owner": "w", "move": 1}, "id"),
        (admission.nack, {"id": "7", "owner": "w", "move": 1, "requeue": True, "final": True},
         "final"),
        (admission.replay, {}, "ids"),
        (admission.replay, {"ids": ["7"], "all": True}, "ids"),
        (admission.replay, {"all": False}, "all"),
        (admission.discard, {"ids": []}, "ids"),
        (admission.stop, {"buildId": "7"}, "buildId"),
        (admission.stop, {}, "buildId"),
        (admission.stop, {"buildId": 7, "id": "7"}, "buildId"),
        (admission.thaw, {}, "jobId"),
        (admission.delete_schedule, {"jobId": "1"}, "jobId"),
        (admission.find, {}, "jobId"),
        (admission.find, {"jobId": "1", "buildId": "1"}, "jobId"),
        (admission.find, {"jobId": "1_0"}, "jobId"),
        (admission.find, {"jobid": "1"}, "jobid"),
        (admission.list_messages, {"state": "lost"}, "state"),
        (admission.list_messages, {"limit": "1001"}, "limit"),
        (admission.samples, {"since": "5"}, "since"),
        (admission.samples, {"since": "2030-01-01T00:00:00"}, "since"),
        (admission.samples, {"since": "0001-01-01T00:00:00+23:59"}, "since"),
        (admission.samples, {"since": "9999-12-31T23:59:59-23:59"}, "since"),
        (admission.type_of, {"type": "cache"}, "type"),
        (admission.nothing, {"x": ""}, "x"),
    ],
)  # fmt: skip
def test_of_each_verb_and_address_what_is_wrong_is_named(
    admit: Callable[[Json], object], given: Json, named: str
) -> None:
    assert wrong(lambda: admit(given)) == {named}


# --- Problems ---------------------------------------------------------------------------------


def test_a_problem_comes_back_as_the_error_that_it_was() -> None:
    error = BadRequest([Wrong("a", "No."), Wrong("b.0", "No.")], remedy="Mend it.")
    said = json.loads(problem_of(error).body())
    back = error_of(said)
    assert isinstance(back, BadRequest)
    assert (back.wrong, back.remedy) == (error.wrong, "Mend it.")
    assert (said["statusCode"], said["error"], said["message"]) == (
        422,
        "Unprocessable Entity",
        "a: No. And 1 more.",
    )
    with pytest.raises(ValueError, match="no problem of the queue service"):
        error_of({"type": "about:blank"})
