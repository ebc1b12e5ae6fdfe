"""Signs of beliefs about a connection that is lost: 33, 34 and 36.

Told from the heartbeat that was agreed, from who ended the connection while a
message was in work, and from whether the process ever opened another.
"""

from __future__ import annotations

from labs.judge.history import History
from labs.judge.rules.losses import LONGEST_HEARTBEAT_S


def heartbeat_off(history: History) -> bool:
    agreed = [c.heartbeat_s for c in history.connections if c.heartbeat_s is not None]
    return any(not 0 < heartbeat_s <= LONGEST_HEARTBEAT_S for heartbeat_s in agreed)


def silent_while_at_work(history: History) -> bool:
    """The broker gave a connection up, without a word, while its copy worked."""
    return any(
        d.connection.heartbeat_s
        and d.connection.closing is None
        and d.returned
        and d.connection.ended
        and d.connection.ended.data.get("by") == "broker"
        for d in history.deliveries
    )


def never_came_back(history: History) -> bool:
    """After the first loss the process never opened a connection again."""
    losses = history.struck("close-by-broker", "cut", "away")
    if not losses:
        return False
    return not any(connection.opened.n > losses[0].n for connection in history.connections)
