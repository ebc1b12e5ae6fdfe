"""A client of the queue service's REST API: typed, and patient where that is safe.

    client = QueueServiceClient("localhost:8002", token=…)
    client.start(build_id=1, job_id=7)
    for work in client.claims("worker-1"):
        with work:
            work.result = build(work.body)

`call` takes the same operations as the service itself, answers with the same values, and raises
the same errors; so either may stand for the other. A request that reached no server, or that the
server put off (429, 503 with Retry-After), is sent again; one whose answer was lost only where
twice is as good as once (`client_requests`).
"""

from __future__ import annotations

import base64
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

from labs.errors import BadInput, LabError
from labs.queue_service.client_claims import is_as
from labs.queue_service.client_requests import call_of
from labs.queue_service.client_verbs import Verbs
from labs.queue_service.errors import BadMessage
from labs.queue_service.messages import Claimed, State
from labs.queue_service.operations import Ack, Claim, Find, Nack, Operation
from labs.queue_service.problems import TYPE, error_of
from labs.task_queue.client_link import PAUSES_S, Call, Dialect, Link, Reply, full_url
from labs.task_queue.errors import ClaimLost, StoreUnfit, StoreUnreachable
from labs.task_queue.tasks import admitted_count, admitted_number

REFUSED = (404, 409)
"""What a message answers that can't be settled."""
LONGEST_POLL_S = 20.0
"""A claim waits no longer on the service at a time: proxies cut what is silent for a minute."""

A = TypeVar("A")


def _refusal(status: int, said: Mapping[str, Any], retry_after_s: float) -> LabError | None:
    """What a problem means, as an error."""
    if known := error_of(said, retry_after_s):
        return known
    detail, remedy = str(said["detail"]), str(said["remedy"])
    if status >= 500:
        return StoreUnreachable(f"{detail} ({status})", remedy=remedy)
    if status == 404:
        return None
    return BadMessage(detail, field=str(said["type"]).removeprefix(TYPE), remedy=remedy)


DIALECT = Dialect("queue service", "QueueServiceClient", "labs queue-service serve", _refusal)


class QueueServiceClient(Verbs):
    """A queue service somewhere. May be shared by threads; not by processes."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        user: str | None = None,
        password: str | None = None,
        timeout_s: float = 10.0,
        retries: int = len(PAUSES_S),
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        """Connects to nothing yet.

        Args:
            url: `host:port` or a URL; a path in it comes before `/v1/`.
            token: of a service that asks for one. Or, with a password file,
            user: a name in that file, and
            password: the password that belongs to it.
            timeout_s: for each try; what waits on purpose comes on top.
            retries: how often a request is sent again, where that is safe; up to 3.
            verify: an ssl context of your own, for HTTPS.

        Raises:
            BadInput: the address, the token or a number can't be meant.
        """
        self.url = full_url(url, DIALECT) + "/v1/"
        self._link = Link(
            self.url,
            DIALECT,
            authorization=_authorization(token, user, password),
            timeout_s=admitted_number(timeout_s, "timeout_s", 0.001),
            retries=admitted_count(retries, "retries", 0, len(PAUSES_S)),
            verify=verify,
        )

    def __repr__(self) -> str:
        """Where; never the token."""
        return f"QueueServiceClient({self.url!r})"

    def __enter__(self) -> QueueServiceClient:
        """The client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._link.close()

    def ready(self) -> None:
        """Return if the service takes requests.

        Raises:
            StoreUnreachable: its store is away, it is stopping, or nobody is there.
        """
        self._link.ask(Call("GET", "ready", True))

    def call(self, operation: Operation[A]) -> A:
        """Have an operation done by the service; its answer.

        Raises:
            BadMessage, UnknownMessage, KeyReused, ClaimLost: as the service itself.
            Unauthorised, Forbidden: the token or the password does not do.
            Overloaded: too much waits, also after the pause that was asked for.
            StoreUnreachable: the service or its store does not answer; whether it was done is
                open. StoreUnfit: what answers is no queue service.
        """
        if isinstance(operation, Claim) and operation.wait_s > LONGEST_POLL_S:
            return cast(A, self._claim_at_last(operation))
        call, read = call_of(operation)
        settles = isinstance(operation, Ack | Nack)
        reply = self._link.ask(replace(call, expected=REFUSED if settles else ()))
        if reply.status in REFUSED:
            assert isinstance(operation, Ack | Nack)
            return cast(A, self._settled(operation, reply))
        try:
            return cast(A, read(reply.value))
        except (KeyError, TypeError, ValueError):
            raise self._no_service(call) from None

    def _claim_at_last(self, claim: Claim) -> Sequence[Claimed]:
        """Claim, and claim again for as long as is to be waited."""
        deadline = time.monotonic() + claim.wait_s
        while True:
            left_s = max(deadline - time.monotonic(), 0.0)
            claimed = self.call(replace(claim, wait_s=min(left_s, LONGEST_POLL_S)))
            if claimed or left_s <= LONGEST_POLL_S:
                return claimed

    def _settled(self, operation: Ack | Nack, reply: Reply) -> State:
        """Where a message is that could not be settled: by a try of ours, whose answer was lost?"""
        try:
            refused = _refusal(reply.status, reply.value, 0.0)
        except (KeyError, TypeError, ValueError):
            refused = None
        if refused is None:
            raise self._no_service(call_of(operation)[0])
        if reply.repeated and isinstance(refused, ClaimLost):
            message = self.call(Find(id=operation.held.id)).message
            if is_as(operation, message):
                return message.state
        raise refused

    def _no_service(self, call: Call) -> StoreUnfit:
        return StoreUnfit(
            f"What answers at {self.url} is no queue service, or an older one: it was asked for "
            f"{call.path} and said something else.",
            remedy="Look at the address, and at the version that runs there.",
        )


def _authorization(token: str | None, user: str | None, password: str | None) -> str | None:
    if (user is None) != (password is None) or (token is not None and user is not None):
        raise BadInput(
            "Who asks the queue service is shown by a token, or by a user and a password.",
            remedy="Give QueueServiceClient token=…, or user=… and password=….",
        )
    if user is not None:
        pair = base64.b64encode(f"{user}:{password}".encode())
        return f"Basic {pair.decode()}"
    if token is None:
        return None
    if not token.isascii() or not token.isprintable() or " " in token:
        raise BadInput(
            "The token can't be sent in a header.",
            remedy="It is one word, with dots between three parts.",
        )
    return f"Bearer {token}"
