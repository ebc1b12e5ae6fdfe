"""The statements of the SQL queue: one text each, for PostgreSQL and for SQLite.

A task is a row of `lab_tasks`. `wake` says when something happens to it by itself: its lease runs
out, its delay passes; else it is NULL. So what can be claimed is `stage = 0 AND wake IS NULL` in
the order `priority DESC, seq`, what is due is `wake <= now`, and each has a partial index: no
verb looks at rows that it does not move. Many tasks come as one parameter, a JSON array. What
the two databases say differently are the few fragments of `Dialect`. Rows are locked in the
order of their ids, or only if nobody else has them, so that no two verbs lock each other out.
"""

# ruff: noqa: S608 - put together of our own words alone; what others say is a parameter

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

WAITING, PROCESSING, SUCCESS, FAIL = range(4)
RETRY = "NOT v.done AND attempts < max_attempts"
STANDING = "id, stage, owner, moves, wake"
TASK = (
    f"{STANDING}, CAST(body AS text), priority, attempts, max_attempts, backoff_s, due, put_at, "
    "claimed_at, settled_at, CAST(result AS text), reason"
)
IS_IN = "stage + 0 = {}"
"""As `stage =`, but no index answers it: a planner that knows of no task in this stage must not
look for a task among all of the stage, when it has its id or its time."""
HELD = f"""{IS_IN.format(PROCESSING)} AND (owner IS NULL OR owner = v.hand)
    AND (v.nth IS NULL OR moves = v.nth) AND (wake IS NULL OR wake > {{now}})"""
"""The rule of `tasks.refusal` as a condition: who may move a task that is processed."""


CLAIMED = "CAST(body AS text), attempts, wake, priority, seq"


@dataclass(frozen=True)
class Dialect:
    """How one database says what the other says differently."""

    now: str
    later: str
    """A time so many seconds, `{}`, from now."""
    least: str
    json: str
    """Text, `{}`, as a body."""
    row: str
    """Where a row is; good for as long as nobody else changes it."""
    among: str
    """Whether a row is one of `heads`."""
    time: str
    """A time from seconds since 1970, `{}`."""
    locked: bool
    """Whether rows are locked one by one (else the whole database is)."""

    def items(self, columns: Mapping[str, str]) -> str:
        """The rows of the parameter `items`, a JSON array of objects."""
        if self.locked:
            named = ", ".join(f"{name} {kind}" for name, kind in columns.items())
            return f"SELECT * FROM json_to_recordset(CAST(:items AS json)) AS r({named})"
        named = ", ".join(f"value->>'{name}' AS {name}" for name in columns)
        return f"SELECT {named} FROM json_each(:items)"

    def now_told(self) -> str:
        """Wakes who listens, once a statement, in its transaction; only if somebody does."""
        if not self.locked:
            return ""
        return f""", (SELECT pg_notify(channel, '') FROM lab_task_queues
            WHERE name = :queue AND listened_until > {self.now})"""

    def found(self, columns: Mapping[str, str], what: str, may: str, lock: str = "") -> str:
        """The tasks of `items` that fulfil a condition, each found by its id, in that order."""
        if self.locked:
            # A planner that knows nothing of the table yet must not think of another way.
            return f"""SELECT v.*, t.* FROM ({self.items(columns)}) AS v
                CROSS JOIN LATERAL (SELECT {what} FROM lab_tasks
                    WHERE queue = :queue AND id = v.key AND {may} OFFSET 0 {lock}) AS t"""
        return f"""SELECT v.*, {what} FROM ({self.items(columns)}) AS v CROSS JOIN lab_tasks
            WHERE queue = :queue AND id = v.key AND {may}"""

    def update(
        self,
        sets: str,
        may: str,
        columns: Mapping[str, str],
        told: str = "",
        returning: str = "stage",
    ) -> str:
        """Change the tasks of `items` that fulfil a condition."""
        found = self.found(columns, f"{self.row} AS place", may, "FOR UPDATE")
        return f"""WITH held AS MATERIALIZED ({found})
            UPDATE lab_tasks SET {sets} FROM held AS v WHERE {self.row} = v.place
            RETURNING id, moves, owner, {self.now}, {returning}{told}"""

    def chosen(self, where: str, rest: str = "") -> str:
        """Some tasks of the queue, as `heads`; on whom somebody else has a lock are left out."""
        lock = "FOR UPDATE SKIP LOCKED" if self.locked else ""
        return f"""WITH heads AS MATERIALIZED (SELECT {self.row} AS place FROM lab_tasks
            WHERE queue = :queue AND {where} {rest} {lock})"""


POSTGRESQL = Dialect(
    now="statement_timestamp()",
    later="statement_timestamp() + ({}) * interval '1 second'",
    least="LEAST",
    json="CAST({} AS json)",
    row="ctid",
    among="ctid = ANY (ARRAY(SELECT place FROM heads))",
    time="to_timestamp({})",
    locked=True,
)
SQLITE = Dialect(
    now=":now",
    later=":now + ({})",
    least="MIN",
    json="{}",
    row="seq",
    among="seq IN (SELECT place FROM heads)",
    time="{}",
    locked=False,
)

KEY = {"key": "text"}
NEW = {
    "key": "text",
    "body": "text",
    "priority": "smallint",
    "delay_s": "double precision",
    "max_attempts": "integer",
    "backoff_s": "double precision",
}
HOLD = {**KEY, "hand": "text", "nth": "bigint"}
SETTLING = {**HOLD, "done": "boolean", "outcome": "text", "words": "text"}


@dataclass(frozen=True)
class Statements:
    """Every statement of the queue, by name."""

    put: str
    claim: str
    claim_any: str
    """As `claim`, whether or not something is due."""
    take: str
    postpone: str
    peek: str
    settle: str
    extend: str
    release: str
    refuse: str
    requeue: str
    purge: str
    is_due: str
    is_any: str
    """Whether something is due, and whether something can be claimed."""
    wake_delayed: str
    end_leases: str
    find: str
    standings: str
    sizes: str
    size: str
    page: str


def statements(d: Dialect) -> Statements:
    """Them all, as one database speaks."""
    due = f"EXISTS (SELECT 1 FROM lab_tasks WHERE queue = :queue AND wake <= {d.now})"
    before = d.later.format("-" + _number("age_s"))
    return Statements(
        put=_put(d),
        claim=_claim(d, guarded=True),
        claim_any=_claim(d, guarded=False),
        take=d.update(
            _claimed(d, "v.hand", "v.lease_s"),
            f"{IS_IN.format(WAITING)} AND wake IS NULL",
            {**KEY, "hand": "text", "lease_s": "double precision"},
            returning=CLAIMED,
        ),
        postpone=d.update(_delayed(d), IS_IN.format(WAITING), KEY, d.now_told()),
        peek=f"""SELECT id, CAST(body AS text) FROM lab_tasks
            WHERE queue = :queue AND stage = {WAITING} AND wake IS NULL
            ORDER BY priority DESC, seq LIMIT :n""",
        settle=d.update(_settled(d), _held(d), SETTLING),
        extend=d.update(f"wake = {d.later.format(_number('lease_s'))}", _held(d), HOLD),
        release=d.update(
            f"stage = {WAITING}, moves = moves + 1, attempts = attempts - 1, {_delayed(d)}",
            _held(d),
            HOLD,
            d.now_told(),
        ),
        refuse=d.update(
            f"""stage = {FAIL}, moves = moves + 1, wake = NULL, settled_at = {d.now},
            reason = v.words""",
            IS_IN.format(WAITING),
            {**HOLD, "words": "text"},
        ),
        requeue=d.update(
            f"""stage = {WAITING}, moves = moves + 1, attempts = 0, owner = NULL, wake = NULL,
            settled_at = NULL, reason = '', due = {d.now}""",
            IS_IN.format(FAIL),
            HOLD,
            d.now_told(),
        ),
        purge=f"""{d.chosen(f"settled_at <= {before}", "LIMIT :n")}
            DELETE FROM lab_tasks WHERE {d.among} RETURNING id, moves + 1, owner, {d.now}, stage""",
        is_due=f"SELECT {due}",
        is_any=f"""SELECT {due}, EXISTS (SELECT 1 FROM lab_tasks
            WHERE queue = :queue AND stage = {WAITING} AND wake IS NULL)""",
        wake_delayed=f"""{d.chosen(f"{IS_IN.format(WAITING)} AND wake <= {d.now}")}
            UPDATE lab_tasks SET wake = NULL WHERE {d.among}""",
        end_leases=_end_leases(d),
        find=f"SELECT {TASK}, {d.now} FROM lab_tasks WHERE queue = :queue AND id = :id",
        standings=d.found(KEY, f"{STANDING}, {d.now}", "true"),
        sizes="SELECT stage, count(*) FROM lab_tasks WHERE queue = :queue GROUP BY stage",
        size="SELECT count(*) FROM lab_tasks WHERE queue = :queue AND stage = :stage",
        page="""SELECT id, seq FROM lab_tasks
            WHERE queue = :queue AND stage = :stage AND seq > :after ORDER BY seq LIMIT :n""",
    )


def _number(name: str) -> str:
    return f"CAST(:{name} AS double precision)"


def _held(d: Dialect) -> str:
    return HELD.format(now=d.now)


def _put(d: Dialect) -> str:
    # Numbered in the order in which they come, stored in the order of their ids.
    items = d.items(NEW)
    numbered, seq, order = f"({items})", "", ""
    if d.locked:
        numbered = f"(SELECT nextval('lab_tasks_line') AS seq, i.* FROM ({items}) AS i)"
        seq, order = "seq, ", "ORDER BY v.key"
    later = d.later.format("v.delay_s")
    return f"""INSERT INTO lab_tasks ({seq}queue, id, body, priority, stage, wake, due, attempts,
            max_attempts, backoff_s, moves, put_at, reason)
        SELECT {seq}:queue, v.key, {d.json.format("v.body")}, v.priority, {WAITING},
            CASE WHEN v.delay_s > 0 THEN {later} END, {later}, 0,
            v.max_attempts, v.backoff_s, 1, {d.now}, ''
        FROM {numbered} AS v WHERE true {order}
        ON CONFLICT (queue, id) DO NOTHING RETURNING id, {d.now}{d.now_told()}"""


def _claim(d: Dialect, *, guarded: bool) -> str:
    # What is due goes first: whoever finds something due claims nothing, and sees to that.
    nothing_due = f"""AND NOT EXISTS (SELECT 1 FROM lab_tasks AS other
        WHERE other.queue = :queue AND other.wake <= {d.now})"""
    heads = d.chosen(
        f"stage = {WAITING} AND wake IS NULL {nothing_due if guarded else ''}",
        "ORDER BY priority DESC, seq LIMIT :n",
    )
    claimed = _claimed(d, ":owner", _number("lease_s"))
    return f"""{heads} UPDATE lab_tasks SET {claimed} WHERE {d.among}
        RETURNING id, moves, owner, {d.now}, {CLAIMED}"""


def _claimed(d: Dialect, owner: str, lease_s: str) -> str:
    return f"""stage = {PROCESSING}, moves = moves + 1, attempts = attempts + 1, owner = {owner},
        claimed_at = {d.now}, wake = {d.later.format(lease_s)}"""


def _delayed(d: Dialect) -> str:
    later = d.later.format(_number("delay_s"))
    return f"wake = CASE WHEN {_number('delay_s')} > 0 THEN {later} END, due = {later}"


def _settled(d: Dialect) -> str:
    doubled = f"CAST(1 AS bigint) << {d.least}(attempts - 1, 60)"
    retry_at = d.later.format(f"{d.least}(backoff_s * ({doubled}), 3600)")
    return f"""moves = moves + 1,
        stage = CASE WHEN v.done THEN {SUCCESS} WHEN {RETRY} THEN {WAITING} ELSE {FAIL} END,
        wake = CASE WHEN {RETRY} THEN {retry_at} END,
        due = CASE WHEN {RETRY} THEN {retry_at} ELSE due END,
        settled_at = CASE WHEN {RETRY} THEN NULL ELSE {d.now} END,
        result = {d.json.format("v.outcome")}, reason = v.words"""


def _end_leases(d: Dialect) -> str:
    return f"""{d.chosen(f"{IS_IN.format(PROCESSING)} AND wake <= {d.now}")}
        UPDATE lab_tasks SET moves = moves + 1, wake = NULL,
        stage = CASE WHEN attempts >= max_attempts THEN {FAIL} ELSE {WAITING} END,
        settled_at = CASE WHEN attempts >= max_attempts THEN {d.now} END,
        reason = CASE WHEN attempts >= max_attempts THEN :gave_up ELSE reason END
        WHERE {d.among} RETURNING id, moves, owner, {d.now}, stage"""
