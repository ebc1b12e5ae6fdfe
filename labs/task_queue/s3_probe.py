"""Whether a store keeps what the queue rests on: of many writers on one condition, one wins.

Several popular stores take the conditions and ignore them, and then hand every task to everybody.
Some heed them only when nobody else writes at that moment. So a few writers try at once.
"""

from __future__ import annotations

from labs.task_queue.errors import StoreUnfit
from labs.task_queue.s3_moves import Moves, new_nonce

WRITERS = 2
"""At once. SeaweedFS lets more of them wait for each other by the second."""
REMEDY = (
    "The queue needs If-None-Match and If-Match on writes: Amazon S3, SeaweedFS (4.0 and newer) "
    "and others have them; `rclone serve s3` and s3rver do not."
)


def probe(moves: Moves) -> bool:
    """Try the store.

    Returns:
        Whether it can also delete on a condition.

    Raises:
        StoreUnfit: it ignores a condition.
        StoreUnreachable: it does not answer, or refuses the credentials or the bucket.
    """
    bucket, key = moves.bucket, f"{moves.base}probes/{new_nonce()}"
    bodies = [new_nonce().encode() for _ in range(WRITERS)]
    created = moves.all_of(lambda body: bucket.create(key, body), bodies)
    etag = _only(created, "If-None-Match: *", bucket.endpoint)
    bodies = [new_nonce().encode() for _ in range(WRITERS)]
    replaced = moves.all_of(lambda body: bucket.replace(key, body, etag), bodies)
    newer = _only(replaced, "If-Match", bucket.endpoint)
    heeds = not bucket.delete_if(key, etag) and bucket.read(key) is not None
    if not (heeds and bucket.delete_if(key, newer)):
        bucket.delete([key])
        return False
    return True


def _only(etags: list[str | None], condition: str, endpoint: str) -> str:
    won = [etag for etag in etags if etag]
    if len(won) == 1:
        return won[0]
    raise StoreUnfit(
        f"The S3 store at {endpoint} does not heed {condition}: of {len(etags)} writers at once "
        f"{len(won)} won, where one must. A task would be handed to many.",
        remedy=REMEDY,
    )
