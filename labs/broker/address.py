"""Where a broker is: one value that says it, and the AMQP URL that carries it.

URLs come in from people (`--url`, `AMQP_URL`) through `parse_amqp_url`, which
refuses at the door what cannot be meant, and go out as `Address.url`. The
password is in `url` and nowhere else: not in `repr`, not in `shown`.

The URL's form is https://www.rabbitmq.com/docs/uri-spec: the vhost is
percent-encoded, so that the default vhost `/` is written `%2F` or left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote, urlsplit

from labs.errors import BadInput

DEFAULT_PORTS = {"amqp": 5672, "amqps": 5671}


@dataclass(frozen=True)
class Address:
    """Everything a client needs to reach one virtual host of one broker."""

    host: str = "localhost"
    port: int = 5672
    vhost: str = "/"
    username: str = "guest"
    password: str = field(default="guest", repr=False)
    tls: bool = False
    management_url: str | None = None
    """The management API's root, such as `http://127.0.0.1:15672`; None where there is none."""

    @property
    def url(self) -> str:
        """The whole AMQP URL, password included: for programs, not for screens."""
        return self._written(quote(self.password, safe=""))

    @property
    def shown(self) -> str:
        """The URL as a person may see it, without its password."""
        return self._written("***")

    def in_vhost(self, vhost: str) -> Address:
        """The same broker and user, in another virtual host."""
        return replace(self, vhost=vhost)

    def _written(self, password: str) -> str:
        scheme = "amqps" if self.tls else "amqp"
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = quote(self.username, safe="")
        return f"{scheme}://{user}:{password}@{host}:{self.port}/{quote(self.vhost, safe='')}"


def parse_amqp_url(text: str) -> Address:
    """Read an AMQP URL.

    Raises:
        BadInput: it is no AMQP URL, with a sentence that says what is wrong and
            never repeats the password.
    """
    form = "Write it as amqp://user:password@host:port/vhost, the vhost `/` as %2F."
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise BadInput("The broker's URL can't be read.", remedy=form) from None
    if parts.scheme not in DEFAULT_PORTS:
        raise BadInput(
            f"The broker's URL starts with {parts.scheme or 'no scheme'!r}, not amqp or amqps.",
            remedy=form,
        )
    if not parts.hostname:
        raise BadInput("The broker's URL names no host.", remedy=form)
    vhost = parts.path[1:]
    if "/" in vhost:
        raise BadInput(
            f"The vhost {vhost!r} in the broker's URL holds a bare slash.",
            remedy=f"Write it as {quote(vhost, safe='')!r}: each slash of a vhost's name is %2F.",
        )
    return Address(
        host=parts.hostname,
        port=port or DEFAULT_PORTS[parts.scheme],
        # Some clients take an empty path for the vhost named "": here it is RabbitMQ's own default.
        vhost=unquote(vhost) or "/",
        username=unquote(parts.username or "guest"),
        password=unquote(parts.password or "guest"),
        tls=parts.scheme == "amqps",
    )
