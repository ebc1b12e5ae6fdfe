"""Errors under a cell in words: the lab's own and pika's; others keep their traceback."""

from __future__ import annotations

import linecache

import pika
import pytest
from pika.exceptions import AMQPError

from labs.broker.address import Address
from labs.errors import WorkerFailed
from labs.notebook.failures import in_words, line_of


def test_an_error_of_the_kit_says_what_happened_and_what_to_do() -> None:
    error = WorkerFailed("alice has ended.", remedy="Start a new worker.")
    assert in_words(error) == ["alice has ended.", "What to do: Start a new worker."]


def test_an_error_of_pika_is_explained(vhost: Address) -> None:
    with pytest.raises(AMQPError) as caught:
        pika.BlockingConnection(pika.URLParameters(vhost.in_vhost("ghost").url))
    words = in_words(caught.value)
    assert words is not None
    assert "What to do" in "\n".join(words)
    assert vhost.password not in "\n".join(words).replace(vhost.username, "")


def test_a_call_of_pika_written_as_in_old_texts_is_explained(vhost: Address) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(vhost.url))
    with pytest.raises(TypeError) as caught:
        connection.channel().basic_consume("hello", print, no_ack=True)  # type: ignore[call-arg]
    connection.close()
    assert in_words(caught.value) is not None


def test_an_error_from_inside_pika_is_explained(vhost: Address) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(vhost.url))
    with pytest.raises(AttributeError) as caught:
        connection.channel().basic_publish("", "hello", {"not": "bytes"})  # type: ignore[arg-type]
    connection.close()
    assert in_words(caught.value) is not None


def test_other_errors_are_none_of_the_labs_business() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        print(1 / 0)
    assert in_words(caught.value) is None


def test_the_line_of_the_cell_is_found_beneath_the_walls_of_libraries() -> None:
    cell: dict[str, object] = {"pika": pika}
    source = "\n\npika.BlockingConnection(pika.ConnectionParameters(port=1))"
    linecache.cache["a cell"] = (len(source), None, source.splitlines(keepends=True), "a cell")
    with pytest.raises(AMQPError) as caught:
        exec(compile(source, "a cell", "exec"), cell)  # noqa: S102
    assert line_of(caught.tb, cell) == f"line 3:  {source.strip()}"
    assert line_of(caught.tb, {}) == ""
