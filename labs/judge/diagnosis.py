"""Which wrong belief a run shows, told from wire, commits, rows and lines alone; never a guess.

Each row of `SIGNS` names a belief, the broken promises that it could explain, and
the sign by which it is known: something that the program sent, and that the promise
was broken by. The first row that fits counts, so that the more special belief stands
above the more general. Where no row fits the answer is None.

Not every belief can be told so: nobody sees effects (27), and an order (21, 22), a
time to live (32) or a timeout (35) is not what an exercise is about; to publish again
without a name (14) is allowed. `labs.judge.misconceptions` has them all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labs.judge.history import History
from labs.judge.signs import (
    claiming,
    committing,
    failing,
    handling,
    losing,
    publishing,
    repeating,
    settling,
    starting,
)
from labs.judge.signs.settling import Sign
from labs.judge.verdicts import Outcome, Verdict


@dataclass(frozen=True)
class Row:
    """One belief and how it is known."""

    misconception: int
    explains: frozenset[str]
    """The ids of the promises that it breaks; empty: any."""
    sign: Sign
    exercises: frozenset[str] = frozenset()
    """Empty: all."""


def misconception_of(
    slug: str, histories: Sequence[History], verdicts: Sequence[Verdict]
) -> int | None:
    """The number of the belief that the run shows; None where nothing broke or it can't be told."""
    broken = [verdict for verdict in verdicts if verdict.outcome is Outcome.BROKEN]
    trials = {verdict.trial for verdict in broken}
    promises = {verdict.promise for verdict in broken}
    broken_in = [history for history in histories if history.trial in trials]
    if any(history.noted("flooded", "forked", "escaped") for history in broken_in):
        return None  # it was ended for that, and what it left undone says nothing of queues
    for row in SIGNS:
        fits = not row.explains or row.explains & promises
        here = not row.exercises or slug in row.exercises
        if fits and here and any(map(row.sign, broken_in)):
            return row.misconception
    return None


_WORK = frozenset({"done", "done-before-settled", "taken-over", "exactly-once", "others-done"})
_SETTLING = frozenset({"done-before-settled", "long-work", "one-at-a-time"})
_STORED = frozenset({"in-queue", "sent-is-stored", "messages-survive"})
_LOST = _STORED | {"done", "others-done"}
_POISON = frozenset({"poison"})
_IDEMPOTENCE = frozenset({"idempotence"})
_JOBS = frozenset({"job-handler"})
_REQUESTS = frozenset({"request-handler"})
_CLAIM_ONCE = frozenset({"claim-once"})
_LEASE = frozenset({"lease"})
_TASKS = _CLAIM_ONCE | _LEASE
_ORDERS = frozenset({"idempotent-start"})
_NAMES = frozenset({"started", "once", "one-name", "refused"})
_OTHERS = frozenset({"owner-settles", "lease-respected"})
_TOO_EARLY = frozenset({"committed-after-done"})
_ANY: frozenset[str] = frozenset()

SIGNS: Sequence[Row] = (
    Row(15, _ANY, settling.redeclared),
    # jobs
    Row(52, frozenset({"keeps-its-id"}), handling.queued_anew, _JOBS),
    Row(54, frozenset({"few-looks"}), handling.queued_at_once, _JOBS),
    Row(53, frozenset({"set-aside"}), handling.failed_when_not_ready, _JOBS),
    Row(50, frozenset({"set-aside"}), handling.said_nothing, _JOBS),
    Row(49, frozenset({"exactly-once"}), handling.said_done_when_not_ready, _JOBS),
    Row(51, frozenset({"set-aside"}), handling.swallowed_the_error, _JOBS),
    Row(48, frozenset({"others-go-on"}), handling.waits_in_the_handler, _JOBS),
    Row(25, frozenset({"exactly-once"}), repeating.again_elsewhere_only, _JOBS),
    Row(26, frozenset({"exactly-once"}), handling.marked_first, _JOBS),
    Row(24, frozenset({"exactly-once"}), repeating.done_twice, _JOBS),
    # acks
    Row(8, _WORK | {"nothing-left"}, settling.acked_others_too),
    Row(9, _ANY, settling.threads_collided),
    Row(7, _ANY, settling.unknown_tag),
    Row(2, _SETTLING, settling.with_prefetch(settling.settles_by_auto_ack)),
    Row(19, frozenset({"one-at-a-time"}), settling.settles_by_auto_ack),
    Row(1, _SETTLING, settling.settles_by_auto_ack),
    Row(2, _WORK | {"set-aside"}, settling.with_prefetch(settling.lost_by_auto_ack)),
    Row(1, _WORK | {"set-aside"}, settling.lost_by_auto_ack),
    Row(3, _WORK | _SETTLING, settling.acked_on_receipt),
    Row(18, _LOST, publishing.limited_length),
    # poison
    Row(30, _ANY, failing.died_of_it, _POISON),
    Row(31, _ANY, failing.limit_refused, _POISON),
    Row(31, _ANY, failing.trusted_a_limit, _POISON),
    Row(28, _ANY, failing.went_round, _POISON),
    Row(29, frozenset({"set-aside"}), failing.rejected_into_nothing, _POISON),
    Row(6, frozenset({"set-aside"}), failing.acked_the_failed, _POISON),
    Row(5, _ANY, failing.left_the_failed_open, _POISON),
    # what comes twice
    Row(25, frozenset({"exactly-once"}), repeating.skipped_the_new, _IDEMPOTENCE),
    Row(26, frozenset({"exactly-once"}), repeating.marked_first, _IDEMPOTENCE),
    Row(23, frozenset({"exactly-once"}), repeating.skipped_by_flag_alone, _IDEMPOTENCE),
    Row(23, frozenset({"done", "taken-over"}), repeating.skipped_by_flag),
    Row(25, frozenset({"exactly-once"}), repeating.again_elsewhere_only, _IDEMPOTENCE),
    Row(24, frozenset({"exactly-once"}), repeating.done_twice, _IDEMPOTENCE),
    # commits
    Row(30, _ANY, committing.died_of_the_bad, _REQUESTS),
    Row(47, _ANY, committing.died_of_a_refused_commit, _REQUESTS),
    Row(41, _ANY, committing.both_did_the_same, _REQUESTS),
    Row(43, frozenset({"done"}), committing.skipped_the_first, _REQUESTS),
    Row(46, frozenset({"done"}), committing.waited_for_the_silent, _REQUESTS),
    Row(40, frozenset({"all-committed"}), committing.never_committed, _REQUESTS),
    Row(42, _TOO_EARLY, committing.committed_out_of_order, _REQUESTS),
    Row(39, _TOO_EARLY, committing.committed_the_position, _REQUESTS),
    Row(38, _TOO_EARLY, committing.committed_before_work, _REQUESTS),
    Row(37, _TOO_EARLY, committing.committed_by_the_clock, _REQUESTS),
    Row(44, frozenset({"laid-aside"}), committing.committed_the_failed, _REQUESTS),
    Row(45, frozenset({"laid-aside"}), committing.went_on_without_it, _REQUESTS),
    # claims and leases
    Row(58, _ANY, claiming.has_no_patience, _TASKS),
    Row(57, _ANY, claiming.died_of_a_locked_database, _TASKS),
    Row(26, frozenset({"marked-after"}), claiming.marked_as_done_first, _TASKS),
    Row(55, frozenset({"claimed-once"}), claiming.claimed_what_was_claimed, _CLAIM_ONCE),
    Row(56, frozenset({"done-once"}), claiming.worked_without_a_claim, _CLAIM_ONCE),
    Row(59, frozenset({"side-by-side"}), claiming.never_side_by_side, _CLAIM_ONCE),
    Row(66, frozenset({"named"}), claiming.one_name_for_all, _LEASE),
    Row(64, frozenset({"lease-length"}), claiming.another_clock, _LEASE),
    Row(55, frozenset({"lease-respected"}), claiming.took_what_another_had_just_taken, _LEASE),
    Row(67, frozenset({"lease-respected"}), claiming.tidied_up_at_its_start, _LEASE),
    Row(62, _OTHERS, claiming.settled_what_it_had_lost, _LEASE),
    Row(65, frozenset({"lease-kept", "done"}), claiming.claimed_all_at_once, _LEASE),
    Row(61, frozenset({"lease-kept"}), claiming.extended_too_seldom, _LEASE),
    Row(60, frozenset({"lease-kept"}), claiming.lost_a_lease, _LEASE),
    Row(63, frozenset({"taken-over"}), claiming.left_to_the_dead, _LEASE),
    Row(55, frozenset({"lease-respected"}), claiming.took_what_was_free, _LEASE),
    # orders
    Row(78, _NAMES | {"ends"}, starting.sent_another_thing_under_its_key, _ORDERS),
    Row(77, _NAMES, starting.looked_first, _ORDERS),
    Row(76, _NAMES, starting.named_by_what_it_says, _ORDERS),
    Row(75, _NAMES, starting.named_all_alike, _ORDERS),
    Row(68, _NAMES, starting.renamed_at_each_try, _ORDERS),
    Row(74, _NAMES, starting.renamed_after_its_restart, _ORDERS),
    Row(70, frozenset({"said-when-known"}), starting.trusted_the_send, _ORDERS),
    Row(71, frozenset({"said-when-known"}), starting.took_any_answer_for_yes, _ORDERS),
    Row(80, _ANY, starting.took_there_already_for_a_failure, _ORDERS),
    Row(72, _ANY, starting.tried_what_was_refused, _ORDERS),
    Row(73, frozenset({"waits-as-told"}), starting.came_too_soon, _ORDERS),
    Row(79, frozenset({"started", "ends"}), starting.waited_for_ever, _ORDERS),
    Row(26, frozenset({"started"}), starting.noted_it_first, _ORDERS),
    Row(69, _ANY, starting.gave_up, _ORDERS),
    # sharing
    Row(19, frozenset({"one-at-a-time", "none-idle", "shared"}), settling.no_limit),
    Row(20, frozenset({"one-at-a-time", "none-idle"}), settling.wide_limit),
    # publishing
    Row(16, _STORED | {"set-aside"}, publishing.wrong_key),
    Row(17, _STORED, publishing.bound_too_late),
    Row(12, frozenset({"sent-is-stored", "sent-after-taken"}), publishing.no_confirms),
    Row(13, frozenset({"sent-is-stored"}), publishing.confirmed_not_routed),
    Row(11, frozenset({"queue-survives"}), publishing.transient_queue),
    Row(10, frozenset({"messages-survive"}), publishing.transient_messages),
    # the connection
    Row(33, frozenset({"heartbeat"}), losing.heartbeat_off),
    Row(34, frozenset({"connection-kept", "long-work", "done"}), losing.silent_while_at_work),
    Row(36, frozenset({"back"}), losing.never_came_back),
    Row(4, _WORK | {"nothing-left", "shared"}, settling.never_acked),
)
"""The more special above the more general."""
