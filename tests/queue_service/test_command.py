"""`labs queue-service`, as typed at a terminal: each verb, its words, its exit codes."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from labs.cli import labs
from labs.queue_service.client import QueueServiceClient
from labs.queue_service.messages import State
from tests.queue_service.doors import build, client, cluster, job, shared_service, shared_url

__all__ = ["build", "client", "cluster", "job", "shared_service", "shared_url"]

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def _here(labs_home: Path, shared_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of the test's own, and no settings from outside but where the server is."""
    assert labs_home
    for name in list(os.environ):
        if name.upper().startswith("QUEUE_SERVICE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("QUEUE_SERVICE_URL", shared_url)
    monkeypatch.setenv("COLUMNS", "120")


def types(*words: object, said: str | None = None) -> Result:
    return CliRunner().invoke(labs, ["queue-service", *map(str, words)], input=said)


def in_json(*words: object) -> object:
    result = types(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_builds_are_started_listed_looked_at_and_stopped(build: int, job: int) -> None:
    assert types("start", build, job, "--name", "main").stdout == f"{build} is queued.\n"
    assert f"waits for job {job}" in types("start", build + 1, job).stdout
    assert "there already" in types("start", build, job).stdout

    listed = types("messages", "--job", job).stdout
    assert all(word in listed for word in ("blocked", "queued", "main", str(build)))
    blocked = types("messages", "--job", job, "--state", "blocked").stdout
    assert f" {build + 1} " in blocked
    assert f" {build} " not in blocked
    assert "And more" in types("messages", "--job", job, "--limit", 1).stdout
    standing = types("status", build).stdout
    assert "state         queued" in standing
    assert "position" in standing
    assert types("status", "--job", job).stdout.startswith(f"id            {build + 1}")

    assert types("stop", build).stdout == f"{build} is stopped. It was queued.\n"
    assert types("stop", build).stdout == f"{build} is as it was: stopped.\n"
    assert "will not run when it comes" in types("stop", build + 9).stdout
    assert types("messages", "--job", job + 9).stdout == "There is none.\n"


def test_scripts_read_json_with_the_names_of_the_rest_api(build: int, job: int) -> None:
    body = '{"container": "node:22"}'
    started = in_json("start", build, job, "--body", body, "--priority", 3, "--delay", 60)
    assert isinstance(started, dict)
    assert (started["buildId"], started["created"]) == (build, True)
    standing = in_json("status", build)
    assert isinstance(standing, dict)
    message = standing["message"]
    assert (message["priority"], message["body"]["container"]) == (3, "node:22")
    assert in_json("messages", "--job", job) == [message]
    stats = in_json("stats")
    assert isinstance(stats, dict)
    assert set(stats) == {"counts", "workers", "oldestAgeS", "at"}
    assert "queued" in types("stats").stdout


def test_a_frozen_build_is_thawed_or_stopped(build: int, job: int) -> None:
    now = datetime.now(UTC)
    window = f"* {now.hour},{(now + timedelta(minutes=1)).hour} ? * *"
    assert "is frozen until" in types("start", build, job, "--freeze-window", window).stdout
    assert types("thaw", job).stdout.startswith(f"{build} is queued.")
    types("start", build + 1, job + 1, "--freeze-window", window)
    assert "It was frozen" in types("stop", "--frozen", job + 1).stdout
    forced = types("start", build + 2, job + 2, "--freeze-window", window, "--force")
    assert forced.stdout == f"{build + 2} is queued.\n"


def test_a_build_is_claimed_held_and_settled_by_single_verbs(
    build: int, job: int, cluster: str
) -> None:
    for n in range(3):
        types("start", build + n, job + n, "--cluster", cluster)
    printed = types("claim", 3, "--owner", "me", "--cluster", cluster).stdout
    claims = [json.loads(line) for line in printed.splitlines()]
    assert [one["buildId"] for one in claims] == [build, build + 1, build + 2]

    me = ("--owner", "me")
    assert datetime.fromisoformat(types("extend", build, *me, "--lease", 99).stdout.strip())
    assert types("ack", build, *me, "--result", "[1]").stdout == "done\n"
    move = ("--move", claims[1]["move"])
    assert types("nack", build + 1, *me, *move, "--reason", "no", "--final").stdout == "failed\n"
    assert types("nack", build + 2, *me, "--requeue").stdout == "queued\n"
    assert types("ack", build, *me).exit_code == 17
    assert types("ack", build + 1, "--owner", "you", *move).exit_code == 17
    assert "[1]" in types("status", build).stdout


def test_what_has_failed_is_listed_replayed_and_discarded(
    client: QueueServiceClient, build: int, job: int, cluster: str
) -> None:
    for n in range(2):
        client.start(build + n, job + n, cluster=cluster)
    for claimed in client.claim("w", 2, cluster=cluster):
        client.nack(claimed, "a \x1b[31mred\x1b[0m reason", final=True)

    failed = types("failed", "list").stdout
    assert str(build) in failed
    assert "\x1b" not in failed
    replayed = types("failed", "replay", build, "ghost")
    assert replayed.stdout == "1 replayed.\n"
    assert replayed.stderr == "ghost has not failed; it is as it was.\n"
    assert types("failed", "discard", build + 1, said="n\n").exit_code == 1
    assert client.find(str(build + 1)).message.state is State.FAILED
    assert in_json("failed", "discard", build, build + 1, "--yes") == {
        "discarded": [str(build + 1)],
        "skipped": [str(build)],
    }
    assert client.find(str(build)).message.state is State.QUEUED
    asked = types("failed", "discard", "--all", said="y\n")
    assert "Discard all messages that have failed for good?" in asked.stderr
    assert types("failed", "list").stdout == "No message has failed.\n"


def test_a_schedule_is_put_listed_and_deleted(job: int) -> None:
    assert types("schedule", "list").exit_code == 0
    put = types("schedule", "put", job, "H 2 * * *", "--name", "nightly", "--body", '{"a": 1}')
    assert f"Job {job} runs next at" in put.stdout
    assert f"{job} nightly" in types("schedule", "list").stdout
    (one,) = [one for one in in_json("schedule", "list") if one["jobId"] == job]  # type: ignore[attr-defined]
    assert (one["cron"], one["body"]) == ("H 2 * * *", {"a": 1})
    assert "no more" in types("schedule", "delete", job).stdout
    assert "had no schedule" in types("schedule", "delete", job).stdout


def test_the_next_runs_of_an_expression_need_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUEUE_SERVICE_URL", "localhost:1")
    shown = types("schedule", "next", "H H H H H", "--job", 123).stdout
    assert shown.startswith("H H H H H is 9 21 5 10 4 for job 123.")

    spring = ("--time-zone", "Europe/Berlin", "--after", "2030-03-30T12:00Z", "--runs", 2)
    runs = in_json("schedule", "next", "H 2 * * *", "--job", 123, *spring)
    assert isinstance(runs, dict)
    assert [one["run"] for one in runs["runs"]] == [
        "2030-03-31T01:00:00+00:00",  # 02:09 is not on the clock that night
        "2030-04-01T00:09:00+00:00",
    ]
    frozen = ("--freeze-window", "* 0-6 ? * *", "--after", "2030-01-01T00:00Z", "--runs", 1)
    late = in_json("schedule", "next", "H 2 * * *", *frozen)
    assert isinstance(late, dict)
    assert late["runs"][0]["startsAt"] == "2030-01-01T07:00:00+00:00"
    assert "starts (UTC)" in types("schedule", "next", "H 2 * * *", *frozen).stdout


def test_a_command_is_run_for_each_build_and_its_exit_status_tells(
    client: QueueServiceClient, build: int, job: int, cluster: str, tmp_path: Path
) -> None:
    for n in range(2):
        client.start(build + n, job + n, {"branch": "main"}, cluster=cluster, max_attempts=1)
    script = tmp_path / "build.sh"
    script.write_text(
        f'cat > "{tmp_path}/$BUILD_ID.json"; echo "$JOB_ID $ATTEMPT" > "{tmp_path}/$BUILD_ID"\n'
        f"[ $BUILD_ID = {build} ]\n"
    )

    worked = types("work", "--cluster", cluster, "--drain", "--owner", "me", "--", "sh", script)

    assert worked.exit_code == 0, worked.output
    assert f"{build}  job {job}  done" in worked.stdout
    assert f"{build + 1}  job {job + 1}  failed" in worked.stdout
    assert json.loads((tmp_path / f"{build}.json").read_text())["branch"] == "main"
    assert (tmp_path / str(build)).read_text() == f"{job} 1\n"
    failed = client.find(str(build + 1)).message
    assert (failed.state, failed.reason) == (State.FAILED, "sh ended with exit status 1.")


def test_a_message_is_watched_until_it_has_ended(
    client: QueueServiceClient, build: int, job: int, cluster: str
) -> None:
    for n in range(2):
        client.start(build + n, job + n, cluster=cluster)
    done, failed = client.claim("w", 2, cluster=cluster)
    client.ack(done)
    client.nack(failed, "broken", final=True)

    well = types("status", build, "--watch", "--json")
    badly = types("status", build + 1, "--watch")
    assert (well.exit_code, badly.exit_code) == (0, 1)
    assert json.loads(well.stdout)["message"]["state"] == "done"
    assert "broken" in badly.stdout


def test_the_store_itself_may_be_asked_with_no_server_between(tmp_path: Path) -> None:
    store = ("--url", f"sqlite:///{tmp_path / 'builds.db'}")
    assert types("start", 1, 7, *store).stdout == "1 is queued.\n"
    assert types("work", "--drain", *store, "--", "true").exit_code == 0
    assert "done" in types("messages", *store).stdout


def test_a_token_of_a_file_is_brought_along(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("what-an-open-server-does-not-look-at\n")
    assert types("stats", "--token-file", file).exit_code == 0
    file.write_text("two words")
    assert types("stats", "--token-file", file).exit_code == 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["status", "ghost"], 23, "ghost"),
        (["status"], 2, "Which message?"),
        (["stop"], 2, "Which build?"),
        (["start", "1", "1", "--body", "{"], 2, "--body is not JSON"),
        (["start", "1", "1", "--body", "[]"], 2, "no JSON object"),
        (["start", "1", "1", "--freeze-window", "* * * * *"], 2, "both days"),
        (["failed", "replay"], 2, "Which messages?"),
        (["thaw", "987654321"], 23, "987654321"),
        (["schedule", "put", "1", "H H"], 2, "not 5"),
        (["schedule", "next", "H H"], 2, "not 5"),
        (["schedule", "next", "H H * * *", "--time-zone", "Mars"], 2, "no time zone 'Mars'"),
        (["schedule", "next", "H H * * *", "--after", "soon"], 2, "'soon' is no time"),
        (["stats", "--url", "localhost:1"], 18, "does not answer"),
        (["stats", "--url", "oracle://x"], 2, "no address"),
        (["stats", "--config", "/nowhere"], 2, "can't be read"),
        (["work", "--", "no-such-program"], 2, "no command 'no-such-program'"),
        (["token", "--life", "long"], 2, "'long' is no life"),
        (["token", "--key", "/nowhere"], 2, "can't be read"),
        (["serve", "--host", "::"], 2, "nothing keeps strangers out"),
        (["serve", "--public-key", "/nowhere"], 2, "can't be read"),
        (["serve", "--store", "oracle://x"], 2, "PostgreSQL"),
        (["dispatch", "--worker-interface", "process"], 2, "--path-to-scripts is missing"),
    ],
)
def test_what_can_not_be_is_said_in_a_sentence_with_a_code_of_its_own(
    words: list[str], code: int, said: str
) -> None:
    result = types(*words)

    assert (result.exit_code, said in result.stderr) == (code, True), result.output
    assert "Traceback" not in result.output


def test_help_teaches_with_examples_and_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STORE", "TOKEN", "PASSWORD", "PRIVATE_KEY"):
        monkeypatch.setenv(f"QUEUE_SERVICE_{name}", SECRET)
    group = labs.get_command(click.Context(labs), "queue-service")
    assert isinstance(group, click.Group)
    for name, command in group.commands.items():
        said = types(name, "--help")
        assert said.exit_code == 0
        assert command.help
        assert SECRET not in said.output
    assert "labs queue-service serve --own-keys" in types("--help").stdout
    assert "--public-key https://id.example/keys.json" in types("serve", "--help").stdout
    assert "QUEUE_SERVICE_PASSWORD_FILE" in types("settings").stdout


def completed(*words: str) -> list[str]:
    found = ShellComplete(labs, {}, "labs", "_LABS_COMPLETE").get_completions(
        ["queue-service", *words[:-1]], words[-1]
    )
    return [one.value for one in found]


def test_tab_completes_commands_states_and_what_the_service_knows(
    client: QueueServiceClient, build: int, job: int
) -> None:
    client.start(build, job)
    client.put_schedule(job, "H H * * *")
    assert completed("sch") == ["schedule"]
    assert completed("messages", "--state", "f") == ["frozen", "failed"]
    assert completed("status", str(build)) == [str(build)]
    assert completed("schedule", "delete", str(job)) == [str(job)]
    assert completed("status", "--url", "localhost:1", "") == []
    client.delete_schedule(job)
