"""`labs queue-service keys`, `token` and `password`: what opens a queue service's door.

The lab's own pair of keys and its password file are in its folder. A private key is never
printed; a token is printed alone on standard output, for it is made to be used.
"""

from __future__ import annotations

import getpass
import sys
from pathlib import Path

import click

from labs.cli.output import print_json
from labs.cli.queue_service_wiring import CONFIG, settings_of
from labs.errors import BadInput

SCOPES = ("sdapi", "worker")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
SCOPE = click.option(
    "--scope",
    "scopes",
    metavar="SCOPE",
    multiple=True,
    help="What it opens: sdapi (messages, schedules), worker (claims). Else both.",
)


def lab_folder() -> Path:
    """Where the lab's own queue service keeps its things; made if need be."""
    from labs.broker.state import labs_home

    folder = labs_home() / "queue-service"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def own_pair(folder: Path | None = None) -> tuple[Path, Path]:
    """The private and the public key in a folder, else the lab's; made if there are none.

    Raises:
        BadInput: they can't be made, or one of the two is missing.
    """
    from labs.queue_service.keys import PRIVATE_NAME, PUBLIC_NAME, make_pair

    there = lab_folder() if folder is None else folder
    private, public = there / PRIVATE_NAME, there / PUBLIC_NAME
    if not private.exists() and not public.exists():
        click.echo(f"Made a pair of keys in {there}.", err=True)
        return make_pair(there)
    for one, other in ((private, public), (public, private)):
        if not one.exists():
            raise BadInput(
                f"There is a key at {other}, and none at {one}.",
                remedy="Bring the other one back, or delete it: a new pair is made then.",
            )
    return private, public


@click.command()
@click.option(
    "--folder", type=click.Path(path_type=Path), help="Where they are; else the lab's folder."
)
@click.option("--jwks", is_flag=True, help="Print the public key as a JWKS.")
def keys(folder: Path | None, jwks: bool) -> None:
    """Make a pair of keys, if there is none, and say where it is.

    With the private one tokens are signed; `serve --public-key` takes the other.

    \b
    Examples:
      labs queue-service keys
      labs queue-service keys --folder ./team --jwks > jwks.json
      labs queue-service serve --public-key jwks.json
    """
    private, public = own_pair(folder)
    if not jwks:
        click.echo(f"{'private key':<12} {private}  (sign tokens with it; show it to nobody)")
        click.echo(f"{'public key':<12} {public}  (serve --public-key {public})")
        return
    from labs.queue_service import keys as made

    print_json(made.jwks([made.load_private(private).public_key()]))


@click.command()
@SCOPE
@click.option("--life", metavar="TIME", default="1h", show_default=True, help="30m, 12h, 7d …")
@click.option("--subject", metavar="NAME", help="Whose it is; else your name on this machine.")
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    help="The private key; else QUEUE_SERVICE_PRIVATE_KEY, or the lab's own, made if need be.",
)
@click.option("--audience", metavar="NAME", help="For whom; else QUEUE_SERVICE_AUDIENCE.")
@CONFIG
def token(
    scopes: tuple[str, ...],
    life: str,
    subject: str | None,
    key: Path | None,
    audience: str | None,
    config: Path | None,
) -> None:
    """Sign a token, and print it: for QUEUE_SERVICE_TOKEN, or `Authorization: Bearer …`.

    \b
    Examples:
      labs queue-service serve --own-keys
      export QUEUE_SERVICE_TOKEN=$(labs queue-service token)
      labs queue-service token --scope worker --life 7d --subject worker-1
    """
    from labs.queue_service.configuration import audience_of
    from labs.queue_service.keys import load_private, sign_token

    life_s = _seconds(life)
    settings = settings_of(config, audience=audience)
    if key is None and settings.private_key is not None:
        pair = load_private(settings.private_key.get_secret_value())
    else:
        pair = load_private(own_pair()[0] if key is None else key)
    click.echo(
        sign_token(
            pair,
            subject=subject or getpass.getuser(),
            scopes=scopes or SCOPES,
            life_s=life_s,
            audience=audience_of(settings),
            issuer=settings.issuer,
            algorithm=settings.algorithm,
        )
    )


@click.command()
@click.argument("name", metavar="NAME")
@SCOPE
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    help="The password file; else QUEUE_SERVICE_PASSWORD_FILE, or one in the lab's folder.",
)
@click.option("--remove", is_flag=True, help="Take the name out of the file.")
@CONFIG
def password(
    name: str, scopes: tuple[str, ...], file: Path | None, remove: bool, config: Path | None
) -> None:
    """Set the password of NAME in a password file: asked for, or one line of standard input.

    \b
    Examples:
      labs queue-service password ada
      labs queue-service password worker-1 --scope worker < secret.txt
      labs queue-service serve --password-file .labs/queue-service/passwords
    """
    from labs.queue_service.passwords import put_password, remove_password

    path = file or settings_of(config).password_file or lab_folder() / "passwords"
    if remove:
        was = remove_password(path, name)
        click.echo(f"{name} is not in {path} any more." if was else f"{name} was not in {path}.")
        return
    was = put_password(path, name, scopes or SCOPES, _typed(name))
    click.echo(f"{name} has {'a new' if was else 'a'} password in {path}.")


def _typed(name: str) -> str:
    if sys.stdin.isatty():
        typed: str = click.prompt(
            f"Password of {name}", hide_input=True, confirmation_prompt="Once more", err=True
        )
        return typed
    return sys.stdin.readline().rstrip("\r\n")


def _seconds(text: str) -> float:
    try:
        seconds = float(text[:-1]) * UNITS[text[-1:]]
        assert 1 <= seconds <= 10 * 365 * UNITS["d"]
    except (ValueError, KeyError, AssertionError):
        raise BadInput(
            f"{text!r:.40} is no life for a token.", remedy="Such as 90s, 30m, 12h or 7d."
        ) from None
    return seconds
