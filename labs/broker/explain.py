"""Errors of pika and the operating system in words: what happened, why, what to do.

One table of rows; the first that fits tells. A row fits by the error's class (or
one it inherits from) and by a pattern in its words, and may quote names out of
them. An error's words are its `repr` as well: `str(AMQPConnectionError)` is empty.
Classes go by name, so that nothing is imported here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Explanation:
    """An error in words: whole sentences; `cause` is empty where it isn't known."""

    what: str
    cause: str
    cure: str


@dataclass(frozen=True)
class Row:
    """One kind of error. `{name}` in its texts is what the pattern's group caught."""

    name: str
    pattern: str
    what: str
    cause: str
    cure: str
    kinds: tuple[str, ...] = ()


IN_VHOST = r"(?P<kind>queue|exchange) '(?P<name>[^']*)' in vhost '(?P<vhost>[^']*)'"

ROWS: tuple[Row, ...] = (
    Row(
        "E3",
        r"ACCESS_REFUSED - Login was refused",
        "The broker refused the login.",
        "The user name or the password is wrong; or it is guest from another machine: guest may "
        "log in only from the broker's own.",
        "Look at user and password in the URL (special characters are percent-encoded); use a "
        "user of your own in place of guest.",
    ),
    Row(
        "E4",
        r"NOT_ALLOWED - vhost (?P<vhost>.+?) not found",
        "There is no virtual host {vhost!r} on this broker.",
        "Its name is misspelt in the URL; the default vhost `/` is written %2F there.",
        "End the URL in /%2F for the default vhost, or in the name of yours.",
    ),
    Row(
        "limit",
        r"NOT_ALLOWED - .*?connection limit",
        "The broker allows no more connections here.",
        "Connections were left open: often by kernels and programs that still run.",
        "Close what you don't need; `labs reset` ends workers that were left behind.",
    ),
    Row(
        "E5",
        r"NOT_ALLOWED - access to vhost '(?P<vhost>[^']*)' refused for user '(?P<user>[^']*)'",
        "The user {user!r} may not enter the virtual host {vhost!r}.",
        "It is the right user in the wrong vhost, or nobody has given permissions yet.",
        "Use your own vhost, or ask whoever runs the broker for permissions in this one.",
    ),
    Row(
        "E6",
        rf"ACCESS_REFUSED - (?:\w+ )?access to {IN_VHOST} refused",
        "This user may not use the {kind} {name!r} in the vhost {vhost!r}.",
        "Permissions are patterns of names, and this name fits none of yours. A refused publish "
        "is told only at the next call on the channel.",
        "Use a name that your permissions allow, or ask for wider ones.",
    ),
    Row(
        "reserved",
        r"ACCESS_REFUSED - (?P<kind>\w+) name '(?P<name>[^']*)' contains reserved prefix",
        "The name {name!r} is not yours to take.",
        "Names that begin with amq. are the broker's own.",
        "Choose another name.",
    ),
    Row(
        "E17",
        r"ACCESS_REFUSED - queue '(?P<name>[^']*)' in vhost '[^']*' in exclusive use",
        "Another consumer has the queue {name!r} to itself.",
        "It, or this one, consumes with exclusive=True.",
        "Drop exclusive=True, or stop the other consumer.",
    ),
    Row(
        "E7",
        rf"inequivalent arg '(?P<arg>[^']*)' for {IN_VHOST}: "
        r"received (?P<new>.+?) but current is (?P<old>.+?)(?:\"|\\'|'?\)|$)",
        "The {kind} {name!r} exists with other properties: {arg} is {old}, you asked for {new}.",
        "Declaring again is harmless only with equal arguments.",
        "Declare it as it is, choose another name, or delete it first: channel.queue_delete"
        "('{name}') or `labs reset`. Its messages are then gone.",
    ),
    Row(
        "E16",
        r"RESOURCE_LOCKED - .*?queue '(?P<name>[^']*)'",
        "The queue {name!r} belongs to another connection alone.",
        "It is exclusive, and the connection that declared it still lives: often an old kernel.",
        "Restart that kernel or stop that program; or let the broker name the queue: queue=''.",
    ),
    Row(
        "E9",
        r"NOT_FOUND - no queue '(?P<name>[^']*)' in vhost '(?P<vhost>[^']*)'",
        "There is no queue {name!r} in the vhost {vhost!r}.",
        "Nobody has declared it yet, it was deleted, it was transient and the broker restarted, "
        "or it is in another vhost.",
        "Declare it first: both sides may, with equal arguments.",
    ),
    Row(
        "E10",
        r"NOT_FOUND - no exchange '(?P<name>[^']*)' in vhost '(?P<vhost>[^']*)'",
        "There is no exchange {name!r} in the vhost {vhost!r}.",
        "Publishing is not answered, so this is told only at a later call.",
        "Declare the exchange first, or use the default one: exchange=''. With "
        "channel.confirm_delivery() the publish itself fails.",
    ),
    Row(
        "E11",
        r"PRECONDITION_FAILED - unknown delivery tag (?P<tag>\d+)",
        "The broker knows of no unacknowledged delivery {tag} on this channel.",
        "It was acknowledged twice, or consumed with auto_ack=True, or delivered on another "
        "channel or before a reconnect.",
        "Acknowledge each delivery once, with its own tag, on the channel that it came by.",
    ),
    Row(
        "E13",
        r"delivery acknowledgement on channel \d+ timed out(?:.*?(?P<ms>\d+) ms)?",
        "The broker waited too long for an acknowledgement and closed the channel.",
        "A message was held longer than the consumer timeout (half an hour, if nobody changed it).",
        "Acknowledge after work of bounded length; take long work out of the delivery.",
    ),
    Row(
        "541",
        r"transient_nonexcl_queues",
        "This broker refuses transient queues that are not exclusive.",
        "RabbitMQ 4.3 has dropped them; queue_declare(queue='hello') asks for one.",
        "Declare it durable: channel.queue_declare(queue='hello', durable=True).",
    ),
    Row(
        "541 global",
        r"global_qos",
        "This broker refuses a prefetch for the whole channel.",
        "RabbitMQ 4.3 has dropped basic_qos(global_qos=True).",
        "Leave global_qos out: the prefetch is then each consumer's.",
    ),
    Row(
        "541 other",
        r"\(541\)|INTERNAL_ERROR",
        "The broker failed at this call and closed the connection (541).",
        "Something that this version of RabbitMQ has dropped or can't do.",
        "The broker's log has the reason; `labs doctor` shows the version.",
    ),
    Row(
        "E22",
        r"CONNECTION_FORCED(?: - (?P<reason>[^\"]*?)[\"')]*$)?",
        "The broker closed the connection.",
        "It was restarted or stopped, or an administrator closed the connection.",
        "Connect again, with growing pauses: ./qprocessor.py --reconnect shows how.",
    ),
    Row(
        "blocked",
        r"",
        "The broker has stopped taking messages: it has blocked this connection.",
        "Its disk or its memory is nearly full (an alarm).",
        "Make room on the broker's disk, or take messages out of its queues; it goes on by itself.",
        kinds=("ConnectionBlockedTimeout",),
    ),
    Row(
        "TLS",
        r"WRONG_VERSION_NUMBER|wrong version number",
        "The port doesn't speak TLS.",
        "amqps:// (or --tls) was used with a port for plain AMQP.",
        "Use port 5671 with amqps://, or amqp:// with port 5672.",
    ),
    Row(
        "certificate",
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed",
        "The broker's certificate is not trusted.",
        "It is for another host name, out of date, or made by nobody whom this system knows.",
        "Use the host name that the certificate is for, or ask whoever runs the broker.",
    ),
    Row(
        "E23",
        r"AMQPConnectorStackTimeout|Timeout during AMQP handshake|IncompatibleProtocolError",
        "Something answers there, and it does not speak AMQP.",
        "The port is another service's: 15672 is the management page, AMQP is on 5672. (Or the "
        "broker is too busy to answer.)",
        "Look at the port: 5672 for amqp://, 5671 for amqps://.",
    ),
    Row(
        "E1",
        r"ConnectionRefusedError|Connection refused|WinError 10061|Errno (?:111|61)\b",
        "Nothing listens there: the connection was refused.",
        "The broker isn't up, is still starting, or is on another port.",
        "Run `labs up`, then `labs status`; give your programs the URL that `labs env` prints.",
    ),
    Row(
        "E2",
        r"gaierror|Name or service not known|nodename nor servname|getaddrinfo failed",
        "The host's name is not known.",
        "It is misspelt, or known only inside Docker or a VPN, such as a compose service's name.",
        "Look at the host in the URL; for a broker on this machine it is localhost.",
    ),
    Row(
        "no way",
        r"No route to host|Network is unreachable|AMQPConnectorSocketConnectError.*[Tt]ime|"
        r"TimeoutError|timed out",
        "The host doesn't answer.",
        "It is off or on another network, or a firewall is between.",
        "Look at the host in the URL; is the VPN on that it needs?",
    ),
    Row(
        "E14",
        r"unexpected keyword argument '(?:no_ack|consumer_callback|type)'|"
        r"multiple values for argument '(?:queue|on_message_callback)'",
        "pika has no such argument.",
        "The example is for a pika before 1.0.",
        "Now it is basic_consume(queue=…, on_message_callback=…, auto_ack=…), and "
        "exchange_declare(…, exchange_type=…).",
        kinds=("TypeError",),
    ),
    Row(
        "E15",
        r"'(?P<type>\w+)' object has no attribute 'encode'",
        "A message's body must be bytes or text, and this is a {type}.",
        "RabbitMQ carries bytes; it knows nothing of Python's objects.",
        "Turn it into text first, as with json.dumps(…), and back with json.loads(body).",
        kinds=("AttributeError",),
    ),
    Row(
        "E18",
        r"pop from an empty deque|tx buffer size underflow|UNEXPECTED_FRAME|_AsyncTransportBase",
        "pika's connection is out of step with itself.",
        "Several threads use one BlockingConnection; it is made for one.",
        "One connection for each thread, or hand the call over: "
        "connection.add_callback_threadsafe(…).",
    ),
    Row(
        "E24 prefetch",
        r"format requires|0 <= number <= 65535",
        "A number is too large, or negative, for its place in the protocol.",
        "A prefetch is 0 to 65535.",
        "Use a smaller one; 0 is no limit.",
        kinds=("error", "struct.error"),
    ),
    Row(
        "E24 expiration",
        r"non-string value was supplied for self\.(?P<name>\w+)",
        "The message's {name} must be text.",
        "In AMQP the time to live of a message is text: milliseconds, in digits.",
        "Write expiration='60000' for a minute.",
        kinds=("AssertionError",),
    ),
    Row(
        "E19",
        r"",
        "The message could not be routed: no queue takes it.",
        "It was published with mandatory=True, and no binding (or queue of that name) fits.",
        "That is a good error: without it the message would be lost in silence. Declare the "
        "queue first.",
        kinds=("UnroutableError",),
    ),
    Row(
        "E20",
        r"",
        "The broker refused the message (nack).",
        "The queue is full and set to reject (x-overflow), or the broker could not store it.",
        "It is not in the queue: publish it again later.",
        kinds=("NackError",),
    ),
    Row(
        "E21",
        r"",
        "start_consuming was called inside a callback.",
        "One loop per channel delivers; it can't run inside itself.",
        "Return from the callback; the loop goes on by itself.",
        kinds=("ReentrancyError", "RecursionError"),
    ),
    Row(
        "cancelled",
        r"",
        "The broker cancelled the consumer.",
        "Its queue was deleted, or moved away.",
        "Declare the queue and consume again.",
        kinds=("ConsumerCancelled",),
    ),
    Row(
        "E12",
        r"Stream connection lost|ConnectionResetError|BrokenPipeError|missed heartbeats|"
        r"EOF while reading|Transport indicated EOF",
        "The connection is lost.",
        "The broker went away; or the program was busy for longer than about two heartbeats and "
        "the broker gave it up: a long callback, or a notebook's idle cell.",
        "Connect again. Do long work outside the connection's thread, or connect only for as long "
        "as you need. A heartbeat of 3600 only hides it.",
    ),
    Row(
        "E8",
        r"Channel is closed|Channel is closing",
        "The channel is closed already.",
        "Every error on a channel closes it; this is what follows the first one.",
        "Find the first error above; then go on with a new channel: connection.channel().",
        kinds=("ChannelWrongStateError", "ChannelClosed"),
    ),
    Row(
        "connection closed",
        r"",
        "The connection is closed already.",
        "It was closed here, or lost; this is what follows.",
        "Find the first error above, or connect again.",
        kinds=("ConnectionWrongStateError",),
    ),
)


def row_of(error: BaseException) -> Row | None:
    """The row of the table that fits the error; None where none does."""
    found = _fitting(error)
    return found[0] if found else None


def explain(error: BaseException) -> Explanation:
    """What the error means; for one that no row fits, its own words."""
    found = _fitting(error)
    if found is None:
        words = str(error) or repr(error)
        return Explanation(f"{type(error).__name__}: {words}", "", "`labs doctor` may know more.")
    row, caught = found
    names = {name: value or "" for name, value in caught.groupdict().items()}
    return Explanation(*(text.format(**names) for text in (row.what, row.cause, row.cure)))


def _fitting(error: BaseException) -> tuple[Row, re.Match[str]] | None:
    kinds = {kind.__name__ for kind in type(error).__mro__}
    words = f"{error!r} {error}"
    for row in ROWS:
        if row.kinds and not kinds & set(row.kinds):
            continue
        if caught := re.search(row.pattern, words):
            return row, caught
    return None
