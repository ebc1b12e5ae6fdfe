"""The calls of RabbitMQ's management API that the kit uses, over httpx.

One method is one call. Names are percent-encoded here, so that the vhost `/` and
queues of any name are meant as they stand. Statistics lag by some seconds; what
must be exact at once is asked over AMQP (`labs.broker.connection.count`).
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from labs.broker.address import Address
from labs.errors import ManagementFailed

Json = dict[str, Any]


class Management:
    """The management API of the broker at `address`, as that user; a context manager.

    Every method raises `ManagementFailed` when the API refuses or does not answer.
    """

    def __init__(self, address: Address, *, timeout_s: float = 10.0) -> None:
        if not address.management_url:
            raise ManagementFailed(
                f"The management API of {address.shown} is not known.",
                remedy="Ask whoever runs the broker; `labs doctor` shows what is known.",
            )
        self._client = httpx.Client(
            base_url=address.management_url.rstrip("/") + "/api/",
            auth=(address.username, address.password),
            timeout=timeout_s,
            trust_env=False,  # a proxy of the house is no way to a broker on this machine
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the API."""
        self._client.close()

    def overview(self) -> Json:
        """What the broker says of itself: versions, listeners, totals."""
        return self._object("overview")

    def whoami(self) -> Json:
        """The user's name and tags."""
        return self._object("whoami")

    def nodes(self) -> list[Json]:
        """The broker's nodes, with their alarms."""
        return self._list("nodes")

    def vhosts(self) -> list[Json]:
        """The virtual hosts that this user may see."""
        return self._list("vhosts")

    def create_vhost(self, name: str) -> None:
        """Make the virtual host; one that is there stays as it is."""
        self._call("PUT", f"vhosts/{_(name)}", {})

    def delete_vhost(self, name: str) -> None:
        """Delete the virtual host with all in it; one that is gone is no failure."""
        self._call("DELETE", f"vhosts/{_(name)}", missing_ok=True)

    def create_user(self, name: str, password: str, tags: str = "") -> None:
        """Make the user, or give an existing one this password and these tags (comma-separated)."""
        self._call("PUT", f"users/{_(name)}", {"password": password, "tags": tags})

    def users(self) -> list[Json]:
        """All users; only an administrator may ask."""
        return self._list("users")

    def delete_user(self, name: str) -> None:
        """Delete the user; one that is gone is no failure."""
        self._call("DELETE", f"users/{_(name)}", missing_ok=True)

    def set_permissions(
        self, user: str, vhost: str, configure: str = ".*", write: str = ".*", read: str = ".*"
    ) -> None:
        """Let the user into the vhost; each permission is a pattern of names."""
        rights = {"configure": configure, "write": write, "read": read}
        self._call("PUT", f"permissions/{_(vhost)}/{_(user)}", rights)

    def permissions(self, user: str) -> list[Json]:
        """What the user may do, one entry a vhost."""
        return self._list(f"users/{_(user)}/permissions")

    def connections_of(self, user: str) -> list[Json]:
        """The user's open connections, exact now; the list of all lags by five seconds."""
        return self._list(f"connections/username/{_(user)}")

    def close_connections_of(self, user: str, reason: str = "closed by the lab") -> None:
        """Let the broker close the user's connections, with the reason that the client is told."""
        self._call(
            "DELETE",
            f"connections/username/{_(user)}",
            missing_ok=True,
            headers={"X-Reason": reason},
        )

    def queues(self, vhost: str) -> list[Json]:
        """The vhost's queues."""
        return self._list(f"queues/{_(vhost)}")

    def queue_totals(self, vhost: str) -> list[Json]:
        """The vhost's queues with `messages_ready` and `messages_unacknowledged`, exact now.

        Asked without statistics, the broker asks each queue; else what it says lags by seconds.
        """
        return self._list(f"queues/{_(vhost)}?disable_stats=true&enable_queue_totals=true")

    def queue(self, vhost: str, name: str) -> Json:
        """One queue."""
        return self._object(f"queues/{_(vhost)}/{_(name)}")

    def delete_queue(self, vhost: str, name: str) -> None:
        """Delete the queue with its messages; one that is gone is no failure."""
        self._call("DELETE", f"queues/{_(vhost)}/{_(name)}", missing_ok=True)

    def exchanges(self, vhost: str) -> list[Json]:
        """The vhost's exchanges, the predeclared ones among them."""
        return self._list(f"exchanges/{_(vhost)}")

    def delete_exchange(self, vhost: str, name: str) -> None:
        """Delete the exchange; one that is gone is no failure."""
        self._call("DELETE", f"exchanges/{_(vhost)}/{_(name)}", missing_ok=True)

    def _object(self, path: str) -> Json:
        value = self._call("GET", path).json()
        return value if isinstance(value, dict) else {}

    def _list(self, path: str) -> list[Json]:
        value = self._call("GET", path).json()
        return value if isinstance(value, list) else []

    def _call(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        missing_ok: bool = False,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        try:
            answer = self._client.request(method, path, json=body, headers=headers)
        except httpx.HTTPError as error:
            raise ManagementFailed(
                f"The management API at {self._client.base_url} does not answer ({error}).",
                remedy="Is the broker up, and its management plugin on? Run `labs doctor`.",
            ) from error
        if answer.is_success or (missing_ok and answer.status_code == httpx.codes.NOT_FOUND):
            return answer
        raise ManagementFailed(
            f"The management API refused {method} {path}: {answer.status_code} {_reason(answer)}",
            remedy="The user may lack the tag or the permission for it. Run `labs doctor`.",
        )


def _(name: str) -> str:
    return quote(name, safe="")


def _reason(answer: httpx.Response) -> str:
    try:
        value = answer.json()
    except ValueError:
        return answer.reason_phrase
    return str(value.get("reason", value)) if isinstance(value, dict) else str(value)
