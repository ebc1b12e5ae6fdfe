"""`labs driver`: a driver's HTTP API before a request queue, and the replicas behind it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labs.cli.driver_wiring import driver_options, from_file, settings_of, the_service
from labs.cli.group import Group
from labs.cli.output import print_json
from labs.errors import BadInput, LabError

if TYPE_CHECKING:
    from labs.request_queue import LifecycleRequestQueueService, RequestEvent, RequestQueue
    from labs.request_queue.metrics import Counts

HEALTH_WITHIN_S = 2.0
COLOURS = {"done": "green", "answered": "red", "failed": "red", "put back": "yellow"}


@click.group(cls=Group)
def command() -> None:
    """A driver whose API answers at once while its work takes minutes.

    Requests are kept on a partitioned log (Kafka); replicas take them one at a time, in
    order per request_id, and commit each when its outcome is safe. Without a FILE of
    your own, a demo driver works: `seconds` in the requestProperties says how long.

    \b
    Try it, in three terminals:
      labs kafka up && labs driver serve
      labs driver work --replica one          (another: --replica two)
      labs driver request Start --id server-7 --property seconds=5
      labs driver responses
    """


@command.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", default=8300, show_default=True, type=click.IntRange(0, 65535))
@click.option("--work", "works", is_flag=True, help="Be a replica too.")
@click.option("--direct", is_flag=True, help="No queue: do the work while the caller waits.")
@driver_options
def serve(file: Path | None, host: str, port: int, works: bool, direct: bool, **which: Any) -> None:
    """Serve the HTTP API until Ctrl-C or SIGTERM.

    A request is answered 202 with its request_id as soon as the log has it safely, and 503
    if the log did not take it. With --settings the file says whether the queue is
    enabled; without, it is, unless you say --direct.

    \b
    Examples:
      labs driver serve --work
      curl -s localhost:8300/management/health
      curl -s localhost:8300/management/metrics
      curl -s localhost:8300/api/driver/lifecycle/execute \\
        -H 'Content-Type: application/json' -d '{"lifecycleName": "Start",
        "driverFiles": "", "systemProperties": {}, "deploymentLocation": {"name": "here"}}'
    """
    from labs.request_queue.driver import ResourceDriverService
    from labs.request_queue.driver_api import create_app
    from labs.request_queue.driver_server import serving
    from labs.request_queue.metrics import Counts
    from labs.stopping import Stop, signals_stop

    enabled = False if direct else None if which["settings"] else True
    settings = settings_of(enabled=enabled, **which)
    if works and not settings.queue.enabled:
        raise BadInput("--work needs the queue.", remedy="Leave out --direct, or enable it.")
    stop = Stop()
    vitals: dict[str, Callable[[], None]] = {}
    counts = Counts()
    with signals_stop(stop.want), ExitStack() as stack:
        service = stack.enter_context(the_service(settings)) if settings.queue.enabled else None
        if service:
            vitals["broker"] = partial(service.check, HEALTH_WITHIN_S)
        if service and works:
            vitals["replica"] = stack.enter_context(_Replica(service, file, counts)).check
        driver = _driver(file) if service is None else None
        front = ResourceDriverService(settings, driver=driver, requests=service)
        app = create_app(front, vitals, partial(_numbers, service, counts))
        url = stack.enter_context(serving(app, host, port))
        click.echo(f"Serving {url}/api/driver/lifecycle/execute. Ctrl-C ends it.", err=True)
        stop.wait()
    click.echo("Stopped.", err=True)


@command.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--replica", default="replica", metavar="NAME", help="The replica's own name.")
@click.option("--json", "as_json", is_flag=True, help="Print each event as a line of JSON.")
@driver_options
def work(file: Path | None, replica: str, as_json: bool, **which: Any) -> None:
    """Be a replica: handle requests until Ctrl-C or SIGTERM.

    FILE is Python with a function handle_request(request): True, it is done; False, not yet,
    it is put back; anything else, or an exception: it is answered FAILED. Start it in
    several terminals: the partitions are shared. Kill one: its requests come to others.

    \b
    Examples:
      labs driver work --replica one
      labs driver work my_driver.py --kafka localhost:9092 --name "My Driver"
    """
    with the_service(settings_of(**which)) as service:
        tell = _print_as_json if as_json else _print_event
        queue = _queue(service, file, replica, tell)
        click.echo(f"Working on {service.settings.topic.name}. Ctrl-C ends it.", err=True)
        queue.run()
    click.echo("Stopped.", err=True)


@command.command()
@click.argument("lifecycle_name")
@click.option("--id", "request_id", metavar="ID", help="The request_id; else a new one.")
@click.option(
    "--property", "given", multiple=True, metavar="KEY=VALUE", help="As often as you like."
)
@driver_options
def request(
    lifecycle_name: str, request_id: str | None, given: tuple[str, ...], **which: Any
) -> None:
    """Queue a request past the API, and print its request_id and where it stands.

    Requests with the same --id stand in one partition, and are done in order.

    \b
    Example:
      labs driver request Start --id server-7 --property seconds=5
    """
    from labs.request_queue import lifecycle_request

    for one in given:
        if "=" not in one:
            raise BadInput(f"{one!r} is no KEY=VALUE.", remedy="Write --property seconds=5.")
    properties = {key: _value(value) for key, _, value in (p.partition("=") for p in given)}
    made = lifecycle_request(lifecycle_name, request_id=request_id, request_properties=properties)
    with the_service(settings_of(**which)) as service:
        place = service.queue_lifecycle_request(made)
    click.echo(f"{made['request_id']}  partition {place.partition.number} offset {place.offset}")


@command.command()
@click.option("--failed", is_flag=True, help="What could be neither done nor answered instead.")
@click.option("--count", metavar="N", type=click.IntRange(min=1), help="End after so many.")
@driver_options
def responses(failed: bool, count: int | None, **which: Any) -> None:
    """Print responses as they come, from the first on, until Ctrl-C."""
    import uuid

    from labs.stopping import Stop, signals_stop

    stop = Stop()
    with the_service(settings_of(**which)) as service, signals_stop(stop.want):
        service.make_topics()
        settings = service.settings
        topic = (settings.failed_topic if failed else settings.responses_topic).name
        consumer = service.log.consumer(f"labs-driver-responses-{uuid.uuid4()}", [topic])
        try:
            while not stop.wanted and count != 0:
                if record := consumer.poll(0.2):
                    text = (record.value or b"").decode("utf-8", "backslashreplace")
                    reason = record.headers.get("reason", b"").decode("utf-8", "replace")
                    click.echo(f"{text}  # {reason}" if failed else text)
                    count = None if count is None else count - 1
        finally:
            consumer.close()


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@driver_options
def status(as_json: bool, **which: Any) -> None:
    """Say how many requests wait, partition by partition."""
    from labs.request_queue.metrics import of_queue

    with the_service(settings_of(**which)) as service:
        if as_json:
            print_json(of_queue(service))
            return
        depth = service.depth()
        topic = service.settings.topic.name
    waiting = sum(lane.waiting for lane in depth)
    click.echo(f"{topic}: {waiting} waiting.")
    for lane in depth:
        if lane.end:
            click.echo(
                f"  partition {lane.partition:>3}: {lane.waiting} waiting "
                f"(committed {lane.committed}, end {lane.end})"
            )


@command.command()
def settings() -> None:
    """Print the table of settings: key, default, meaning."""
    from labs.request_queue import DriverSettings
    from labs.settings import table_of

    click.echo(table_of(DriverSettings))


class _Replica:
    """A replica in a thread, beside the API."""

    def __init__(
        self, service: LifecycleRequestQueueService, file: Path | None, counts: Counts
    ) -> None:
        def tell(event: RequestEvent) -> None:
            counts(event)
            _print_event(event)

        self._queue = _queue(service, file, "replica", tell)
        self._thread = threading.Thread(target=self._queue.run, name="replica", daemon=True)

    def check(self) -> None:
        """Return if it lives."""
        if not self._thread.is_alive():
            raise LabError("The replica has ended.", remedy="Start it again; its log says why.")

    def __enter__(self) -> _Replica:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.close()


def _numbers(service: LifecycleRequestQueueService | None, counts: Counts) -> dict[str, object]:
    from labs.request_queue.metrics import of_queue

    return {} if service is None else {**of_queue(service), "replica": counts.numbers()}


def _value(text: str) -> Any:
    """JSON, or the text itself."""
    import json

    try:
        return json.loads(text)
    except ValueError:
        return text


def _queue(
    service: LifecycleRequestQueueService, file: Path | None, name: str, tell: Any
) -> RequestQueue:
    from labs.request_queue.demo import DemoDriver

    if file is not None:
        handler: Any = from_file(file, "handle_request")
    else:
        handler = DemoDriver(service.messaging.send_lifecycle_execution)
    return service.get_lifecycle_request_queue(name, handler, observer=tell)


def _driver(file: Path | None) -> Any:
    from labs.request_queue.demo import DemoDriver

    driver: Any = DemoDriver()
    if file is not None:
        driver.execute_lifecycle = from_file(file, "execute_lifecycle")
    return driver


def _print_event(event: RequestEvent) -> None:
    """One line for a person."""
    at = time.strftime("%H:%M:%S", time.localtime(event.at_s))
    what = click.style(f"{event.what:<9}", fg=COLOURS.get(event.what))
    place = f"partition {event.partition:>2} offset {event.offset}"
    click.echo(f"{at}  {what}  {place}  {event.request_id or ''}  {event.why}".rstrip())


def _print_as_json(event: RequestEvent) -> None:
    """One line for a script."""
    import json
    from dataclasses import asdict

    click.echo(json.dumps(asdict(event), ensure_ascii=False))
