"""How the moves of a SQL queue are told: with the move, or once it is made.

Events that are kept in the queue's own database are written in the transaction of the move. For
any other recorder the transaction notes the moves; they are told once it is committed, and the
note is deleted. What a crash leaves noted, `recover` tells: twice rather than not at all, for
a recorder keeps the same move once.
"""

from __future__ import annotations

from collections.abc import Sequence

from labs.task_queue.events_queue import EventRecorder
from labs.task_queue.queue import Recorder
from labs.task_queue.sql_database import Database, Session
from labs.task_queue.sql_events import SqlEventStore
from labs.task_queue.sql_values import moved_as_text, moved_from_text
from labs.task_queue.tasks import Moved


class Telling:
    """Tells recorders of the moves of one queue."""

    def __init__(self, database: Database, queue: str) -> None:
        self._database = database
        self._queue = queue
        self._note = database.compiled(
            "INSERT INTO lab_task_untold (queue, moves) VALUES (:queue, :moves) RETURNING seq"
        )
        self._noted = database.compiled(
            "SELECT seq, moves FROM lab_task_untold WHERE queue = :queue ORDER BY seq"
        )
        self._forget = database.compiled("DELETE FROM lab_task_untold WHERE seq = :seq")

    def begin(self, session: Session, recorder: Recorder) -> None:
        """Within the transaction of the moves, before the first of them."""
        if events := self._beside(recorder):
            events[0].begin_within(session)

    def note(self, session: Session, recorder: Recorder, moves: Sequence[Moved]) -> int | None:
        """Within the transaction of the moves; a number, if they are still to be told."""
        if events := self._beside(recorder):
            store, of_queue = events
            store.add_within(session, of_queue.events_of(moves))
            return None
        told = {"queue": self._queue, "moves": moved_as_text(moves)}
        return int(session.run(self._note, told)[0][0])

    def tell(self, recorder: Recorder, number: int, moves: Sequence[Moved]) -> None:
        """Tell what was noted under the number."""
        recorder.record(moves)
        with self._database.session(writes=True) as session:
            session.run(self._forget, {"seq": number})

    def recover(self, recorder: Recorder) -> int:
        """Tell all that was noted and not told; how many moves."""
        with self._database.session() as session:
            rows = session.run(self._noted, {"queue": self._queue})
        told = 0
        for number, text in rows:
            moves = moved_from_text(text)
            self.tell(recorder, number, moves)
            told += len(moves)
        return told

    def _beside(self, recorder: Recorder) -> tuple[SqlEventStore, EventRecorder] | None:
        """The store of events, if it is in the queue's own database."""
        if not isinstance(recorder, EventRecorder):
            return None
        store = recorder.store
        if isinstance(store, SqlEventStore) and store.database.is_same_as(self._database):
            return store, recorder
        return None
