"""Journals of trials on a task table, told by hand: one short line an event, as in `tale`."""

from __future__ import annotations

from typing import Any, Self

from labs.judge.tasks import PROCESSING, SUCCESS, WAITING, move_of
from tests.judge.tale import Tale

LEASE_S = 2.0
EPOCH = 1_790_000_000.0
"""When the journal began, in seconds since 1970."""


class TableTale(Tale):
    """A journal in the making. A row changes as a program's statement says; copies are A, B, …"""

    def __init__(
        self,
        exercise: str = "claim-once",
        *,
        copies: tuple[str, ...] = ("A", "B"),
        trial: str = "contended",
    ) -> None:
        lease_s = LEASE_S if exercise == "lease" else None
        ground = {"table": "tasks", "lease_s": lease_s}
        super().__init__(exercise, copies=copies, trial=trial, ground=ground)
        self._rows: dict[str, dict[str, Any]] = {}
        self._names: dict[str, str] = {}
        for copy in copies:
            self.begins(copy)

    @classmethod
    def leased(cls, trial: str = "frozen") -> Self:
        """Of the exercise `lease`."""
        return cls("lease", trial=trial)

    def begins(self, copy: str) -> Self:
        """A copy is given a name, and started."""
        self._names[copy] = f"{copy}-{len(self._journal)}"
        self.event("note", "owner", copy=copy, data={"owner": self._names[copy]})
        return self.started(copy)

    def put(self, *bodies: str, left_by: str = "") -> Self:
        """The judge put these into the table; `left_by`: in work, by somebody long dead."""
        for body in bodies:
            row = {"task": 100 + len(self._rows), "stage": WAITING, "owner": None, "lease_s": None}
            left = {"stage": PROCESSING, "owner": left_by} if left_by else {}
            self._rows[body] = row | left | ({"lease_s": -60.0} if left else {})
            about = {"body": body, "task": row["task"], "wave": 1}
            self.event("published", data=about | left)
        return self

    def row(self, body: str, **new: Any) -> Self:
        """A statement changed a task's row. `lease_end`: what was written where it is no time."""
        was = self._rows[body]
        end = new.pop("lease_end", None)
        now = self._rows[body] = was | new
        self.now_s += 0.01
        lease_s = now["lease_s"]
        data = {
            "task": was["task"],
            "body": body,
            "at_s": self.now_s,
            "lease_end": end if end is not None or lease_s is None else EPOCH + lease_s,
        }
        for column in ("stage", "owner", "lease_s"):
            data[column], data[f"{column}_was".replace("lease_s_was", "lease_was_s")] = (
                now[column],
                was[column],
            )
        owners = (was["owner"], now["owner"])
        extended = was["lease_s"] != now["lease_s"]
        self._delivered_at = {(c, body): self.now_s for c in self._names} | self._delivered_at
        move = move_of(was["stage"], now["stage"], owners, extended)
        self.event("changed", move, data=data)
        return self

    def claims(self, copy: str, *bodies: str, **more: Any) -> Self:
        """It claimed these, whatever they were."""
        for body in bodies:
            lease = {} if self._lease_s is None else {"lease_s": self.now_s + self._lease_s}
            self._delivered_at[copy, body] = self.now_s
            self.row(body, **{"stage": PROCESSING, "owner": self._names[copy], **lease, **more})
        return self

    def extends(self, body: str, **more: Any) -> Self:
        """The lease's end was set anew."""
        return self.row(body, **{"lease_s": self.now_s + (self._lease_s or 0.0), **more})

    def settles(self, *bodies: str) -> Self:
        """These were marked as done, by whomever."""
        for body in bodies:
            self.row(body, stage=SUCCESS)
        return self

    def does(self, copy: str, *bodies: str) -> Self:
        """It claimed these one after the other, did them and marked them as done."""
        for body in bodies:
            self.claims(copy, body).done(copy, body).settles(body)
        return self

    def both_contend(self) -> Self:
        """Somebody held the write lock, and both wanted a task."""
        return self.fault("hold", None, for_s=0.6).fault("release", None)

    def is_killed(self, copy: str, body: str) -> Self:
        """The judge killed it in the middle of this task."""
        self.event("signal", "kill", copy=copy, data={"body": body, "in_hand": [body]})
        return self.exited(copy, -9, asked=True)

    def is_frozen(self, copy: str, body: str) -> Self:
        """The judge froze it in the middle of this task."""
        self.event("signal", "freeze", copy=copy, data={"body": body, "in_hand": [body]})
        return self

    def is_thawed(self, copy: str) -> Self:
        """It goes on."""
        self.event("signal", "thaw", copy=copy)
        return self

    def dies(self, copy: str, saying: str) -> Self:
        """It ended by itself, with these last words."""
        self.exited(copy, 1)
        return self.note("stderr", copy, tail=saying)

    @property
    def _lease_s(self) -> float | None:
        lease_s = self.history.run["lease_s"]
        return None if lease_s is None else float(lease_s)
