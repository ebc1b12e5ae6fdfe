"""Ids: text of 1 to 512 characters, any character, on every store; all else is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from labs.task_queue.errors import BadTask
from labs.task_queue.queue import TaskQueue
from labs.task_queue.stages import Stage
from labs.task_queue.tasks import Fail, Success

# Each is another task than all the others, however alike two look, or are once escaped.
IDS = [
    *["a/b", "a//b", "a/", "/", "/a", "/otherbucket/stolen", "a", "A", "a ", " a", " ", "a b"],
    *[".", "..", "...", "../a", "../../etc/passwd", ".json", "a.json", "./a", "~", "-", "--x"],
    *["'", '"', "`", "''", "a'; DROP TABLE tasks; --", "a' OR 'a'='a", "\\", "\\\\", "\\0", "\\n"],
    *["%", "%%", "%2F", "a%2Fb", "a%2fb", "%252F", "%s", "?", "a?b", "#", "a#b", "&", "a&b=c", "+"],
    *["=", ";", ":", "a:b", "@", "!", "*", "$HOME", "${x}", "{}", "{0}", "[1]", "<a>", "|", "^"],
    *[
        "\0",
        "a\0b",
        "a\0",
        "\0a",
        "%00",
        "\\u0000",
        "\\x00",
        "␀",
        "a␀b",
        "\x01",
        "\x1b[31m",
        "\x7f",
    ],
    *[
        "\n",
        "a\nb",
        "\r\n",
        "\t",
        "\x85",
        "\u2028",
        "\u200b",
        "\ufeff",
        "\u202e",
        "\ufffd",
        "\uffff",
    ],
    *[
        "é",
        "e\u0301",
        "ß",
        "ss",
        "İ",
        "i",
        "I",
        "ı",
        "ﬁ",
        "fi",
        "Zoë",
        "日本語",
        "\U0001f600",
        "👩‍👩‍👧",
    ],
    *["0", "00", "1", "1.0", "-1", "true", "null", "None", "NaN", "0x1", "1e3"],
    *["a" * 511, "a" * 512, "\U0001f600" * 512, "\U0001f600" * 511 + "a", "\U0001f600" * 511 + "b"],
    *["/" * 512, "%" * 512, "\0" * 512, "." * 512, "é" * 512],
]


def test_any_text_is_an_id_from_its_put_to_its_end(queue: TaskQueue) -> None:
    assert len(set(IDS)) == len(IDS)
    queue.put({id_: {"id": id_} for id_ in IDS})
    assert sorted(queue.lookup_state(Stage.WAITING)) == sorted(IDS)
    claims = queue.get(len(IDS) + 1)
    assert claims == [(id_, {"id": id_}) for id_ in IDS]
    outcomes = [Fail(claim) if n % 2 else Success(claim) for n, claim in enumerate(claims)]
    assert queue.settle(outcomes) == {}
    assert sorted(queue.lookup_state(Stage.SUCCESS)) == sorted(IDS[::2])
    assert sorted(queue.requeue(IDS[1::2])) == sorted(IDS[1::2])
    assert [id_ for id_, _ in queue.get(len(IDS))] == IDS[1::2]


@pytest.mark.parametrize("id_", ["a/b?c#%2F \n..", "\0", "\U0001f600" * 512])
def test_any_text_finds_its_task(queue: TaskQueue, id_: str) -> None:
    queue.put({id_: "mine", "other": "not"})
    assert queue.lookup_item(id_) == {
        "item_id": id_,
        "status": Stage.WAITING,
        "item_body": "mine",
    }
    queue.get()
    assert queue.lookup_status(id_) is Stage.PROCESSING
    queue.success(id_, result="done")
    assert queue.lookup_task(id_).result == "done"
    with pytest.warns(UserWarning, match="already in queue"):
        assert queue.put_quietly({id_: 2}).present == queue.put({id_: 2}).present == (id_,)


NO_IDS: list[tuple[object, str]] = [
    ("", "1 to 512 characters, not 0"),
    ("a" * 513, "1 to 512 characters, not 513"),
    ("\ud800", "lone surrogate"),
    (5, "must be text, not 5"),
    (None, "must be text, not None"),
    (b"x", "must be text, not b'x'"),
    (("a", "b"), "must be text, not"),
    (True, "must be text, not True"),
]


def test_all_else_is_refused_by_every_verb(queue: TaskQueue) -> None:
    for id_, why in NO_IDS:
        verbs: list[Callable[[Any], object]] = [
            lambda id_: queue.put({"good": 1, id_: 1}),
            queue.success,
            queue.fail,
            lambda id_: queue.extend([id_], 1),
            lambda id_: queue.release([id_]),
            lambda id_: queue.refuse(id_, reason=""),
            lambda id_: queue.requeue([id_]),
            queue.lookup_status,
            queue.lookup_item,
        ]
        for verb in verbs:
            with pytest.raises(BadTask, match=why):
                verb(id_)
    assert queue.sizes()["WAITING"] == 0, "nothing of a put that is refused is stored"
