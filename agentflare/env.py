"""Typed reading of environment variables, for settings.py alone."""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from agentflare.redis_cluster import is_cluster, node_urls


def _given(name: str) -> str | None:
    """The variable, or what stands in the file that NAME_FILE names: how secrets are handed over
    where an environment can be read by others.

    Raises ImproperlyConfigured for a file that cannot be read, or where both are given.
    """
    value, path = os.environ.get(name), os.environ.get(f"{name}_FILE")
    if not path:
        return value
    if value:
        raise ImproperlyConfigured(f"Set {name} or {name}_FILE, not both.")
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ImproperlyConfigured(f"{name}_FILE cannot be read: {exc}.") from None


def secrets() -> list[str]:
    """The values of all variables that are secret by their names, each of a list too, also where
    they stand in files. The longest come first: one may begin as another does."""
    values: set[str] = set()
    for name in {name.removesuffix("_FILE") for name in os.environ}:
        if re.search(r"SECRET|TOKEN|PASSWORD|_KEYS?$", name):
            # One that cannot be read is told of by whoever needs it.
            with suppress(ImproperlyConfigured):
                value = _given(name) or ""
                values |= {value, *value.split(",")}
    return sorted(values - {""}, key=lambda value: (-len(value), value))


def text(name: str, default: str | None = None) -> str:
    """The variable's value; `default` when it is unset or empty.

    Raises ImproperlyConfigured, naming the variable, when there is neither.
    """
    value = _given(name) or default
    if value is None:
        raise ImproperlyConfigured(f"Set the environment variable {name}.")
    return value


def integer(name: str, default: int) -> int:
    value = _given(name)
    if not value:
        return default
    try:
        return int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}.") from None


def nusd(name: str, default: str) -> int:
    """Dollars as nano-dollars."""
    value = text(name, default)
    try:
        amount = Decimal(value)
    except InvalidOperation:
        raise ImproperlyConfigured(f"{name} must be dollars, not {value!r}.") from None
    if not 0 <= amount <= 1_000_000:
        raise ImproperlyConfigured(f"{name} must be between 0 and 1000000 dollars.")
    return int(amount * 10**9)


def percent(name: str, default: str) -> Decimal:
    value = text(name, default)
    try:
        share = Decimal(value)
    except InvalidOperation:
        raise ImproperlyConfigured(f"{name} must be a number, not {value!r}.") from None
    if not 0 <= share <= 100:
        raise ImproperlyConfigured(f"{name} must be between 0 and 100.")
    return share


def flag(name: str, default: bool = False) -> bool:
    value = (_given(name) or "").strip().lower()
    if not value:
        return default
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} must be 1 or 0, not {value!r}.")


def choice(name: str, choices: Sequence[str], *, default: str) -> str:
    value = text(name, default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name} is one of {', '.join(choices)}, not {value!r}.")
    return value


def words(name: str, default: list[str]) -> list[str]:
    """A comma-separated list."""
    value = _given(name)
    if not value:
        return default
    return [word.strip() for word in value.split(",") if word.strip()]


def networks(name: str) -> list[IPv4Network | IPv6Network]:
    """A comma-separated list of networks, as `10.1.0.0/16,fd00::/8`."""
    try:
        return [ip_network(word) for word in words(name, [])]
    except ValueError as exc:
        raise ImproperlyConfigured(f"{name} must be a list of networks: {exc}.") from None


def postgres_url(name: str) -> str:
    """`postgresql://…`, for libpq; empty when it is unset."""
    url = text(name, "")
    if url and urlsplit(url).scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(f"{name} must start with postgresql://")
    return url


def postgres(name: str) -> dict[str, object]:
    """`postgresql://user:password@host:port/database?sslmode=…` as Django's DATABASES entry.

    Query parameters go to libpq as they are; `host=/run/postgresql` names a unix socket.
    """
    url = urlsplit(text(name))
    if url.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(f"{name} must start with postgresql://")
    options: dict[str, object] = dict(parse_qsl(url.query))
    return {
        "NAME": unquote(url.path.lstrip("/")),
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "HOST": str(options.pop("host", "") or url.hostname or ""),
        "PORT": str(url.port or ""),
        "OPTIONS": options,
    }


def email(name: str) -> dict[str, Any]:
    """Django's settings for `smtp://user:password@host:587?tls=1` or `smtps://…`.

    Unset: mails are printed, not sent.
    """
    url = _given(name)
    if not url:
        return {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"}
    parts = urlsplit(url)
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
        raise ImproperlyConfigured(f"{name} must be an address such as smtp://host:587?tls=1.")
    is_ssl = parts.scheme == "smtps"
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": parts.port or (465 if is_ssl else 25),
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_SSL": is_ssl,
        "EMAIL_USE_TLS": dict(parse_qsl(parts.query)).get("tls") == "1",
        "EMAIL_TIMEOUT": 10,
    }


def redis(name: str) -> str:
    """`redis://…`, `rediss://…`, `unix://…`, or a cluster: `redis+cluster://host:port,host:port`."""
    url = text(name)
    if is_cluster(url):
        try:
            node_urls(url)
        except ValueError as exc:
            raise ImproperlyConfigured(f"{name} {exc}.") from None
    return url


def redis_database(url: str, number: int) -> str:
    """The same Redis server, database `number`.

    Raises ImproperlyConfigured for a cluster: it has no second one.
    """
    if is_cluster(url):
        raise ImproperlyConfigured(
            "Set CELERY_BROKER_URL to a Redis of its own: a cluster cannot be Celery's broker."
        )
    parts = urlsplit(url)
    if parts.scheme == "unix":
        query = f"{parts.query}&" if parts.query else ""
        return f"redis+socket{url.removeprefix('unix').split('?')[0]}?{query}virtual_host={number}"
    return parts._replace(path=f"/{number}").geturl()
