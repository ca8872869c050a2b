import getpass
import os
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentflare.money import NUSD_PER_USD
from billing.prices.models import Unit
from inference.upstreams.accounts import OPENAI_COMPATIBLE
from inference.upstreams.models import Upstream
from inference.upstreams.selectors import account_named
from inference.upstreams.services import (
    UpstreamError,
    add_upstream,
    change_upstream,
    remove_upstream,
    set_api_token,
    set_state,
)
from inference.upstreams.trial import try_upstream

TOKEN_VARIABLE = "UPSTREAM_API_TOKEN"  # noqa: S105  # its name, not a token


class Command(BaseCommand):
    help = (
        "Upstreams: Cloudflare accounts that form the pool, and servers that speak OpenAI's API. "
        f"Tokens are read from {TOKEN_VARIABLE} or asked for, never from the command line. "
        "A change takes effect within seconds, without a restart."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="all upstreams, without their tokens")
        account = actions.add_parser("add-account", help="one more Cloudflare account of the pool")
        account.add_argument("name")
        account.add_argument("--account-id", required=True)
        account.add_argument("--gateway-id", default="", help="AI Gateway to go through")
        account.add_argument("--base-url", default="", help="default: Cloudflare's")
        account.add_argument("--weight", type=int, default=1, help="its share of the calls")
        server = actions.add_parser("add-server", help="vLLM, llama.cpp, Ollama …")
        server.add_argument("name")
        server.add_argument("--base-url", required=True, help="up to and with /v1")
        server.add_argument("--no-token", action="store_true", help="it asks for none")
        change = actions.add_parser("set", help="another address, account or weight")
        change.add_argument("name")
        change.add_argument("--base-url")
        change.add_argument("--account-id")
        change.add_argument("--gateway-id", help="'' for none")
        change.add_argument("--weight", type=int)
        model = actions.add_parser(
            "add-model",
            help="an AI model of a server, with its price",
            description="Prices are what one million tokens cost you, in dollars; the markup "
            "comes on top.",
        )
        model.add_argument("upstream")
        model.add_argument("name", help="what clients will name in `model`")
        model.add_argument("--upstream-model", required=True, help="the server's own name for it")
        model.add_argument("--kind", choices=["chat", "embeddings"], default="chat")
        model.add_argument("--input-usd", required=True, help="for a million input tokens")
        model.add_argument("--output-usd", default="", help="for a million output tokens")
        model.add_argument("--context-window", type=int)
        model.add_argument("--max-output-tokens", type=int)
        model.add_argument("--dimensions", type=int, help="of an embedding")
        model.add_argument("--vendor", default="")
        model.add_argument(
            "--can",
            action="append",
            default=[],
            choices=["function_calling", "reasoning", "vision", "json_mode"],
            help="repeatable",
        )
        token = actions.add_parser("set-token", help="another token from now on")
        token.add_argument("name")
        for action, text in (
            ("on", "call it"),
            ("off", "send it nothing more; calls that run go on to their end"),
            ("remove", "forget it; switch it off first"),
            ("models", "the AI models of a server"),
            ("remove-model", "an AI model of a server is served no more"),
        ):
            actions.add_parser(action, help=text).add_argument("name")
        trial = actions.add_parser(
            "test", help="make one small call, which you pay for, and say what came back"
        )
        trial.add_argument("name")
        trial.add_argument("--model", default="", help="an AI model by its name here")

    def handle(self, *args: Any, **options: Any) -> None:
        action = options["action"].replace("-", "_") + "_"
        try:
            getattr(self, action)(**options)
        except UpstreamError as exc:
            raise CommandError(str(exc)) from None
        except Upstream.DoesNotExist:
            raise CommandError(
                f"There is no upstream {options.get('name') or options.get('upstream')!r}."
            ) from None

    def list_(self, **options: Any) -> None:
        for row in Upstream.objects.all():
            where = row.account_id or row.base_url
            self.stdout.write(f"{row.name}\t{row.provider}\t{where}\t{row.state}\t×{row.weight}")

    def add_account_(self, **options: Any) -> None:
        add_upstream(
            name=options["name"],
            provider=Upstream.Provider.WORKERS_AI,
            api_token=_token(),
            account_id=options["account_id"],
            gateway_id=options["gateway_id"],
            base_url=options["base_url"],
            weight=options["weight"],
        )
        self.stdout.write(f"{options['name']} is in the pool.")

    def add_server_(self, **options: Any) -> None:
        add_upstream(
            name=options["name"],
            provider=Upstream.Provider.OPENAI_COMPATIBLE,
            api_token="" if options["no_token"] else _token(),
            base_url=options["base_url"],
        )
        self.stdout.write(f"{options['name']} is added. Its AI models: upstream add-model.")

    def add_model_(self, **options: Any) -> None:
        # Here, not above: upstreams know nothing of the catalogue.
        from inference.catalog.services import add_server_model

        prices: dict[str, Decimal] = {Unit.INPUT_TOKENS: _nusd_per_token(options["input_usd"])}
        if options["kind"] == "chat":
            if not options["output_usd"]:
                raise CommandError("A chat model needs --output-usd.")
            prices[Unit.OUTPUT_TOKENS] = _nusd_per_token(options["output_usd"])
        add_server_model(
            name=options["name"],
            upstream=Upstream.objects.get(name=options["upstream"]),
            upstream_model=options["upstream_model"],
            kind=options["kind"],
            vendor=options["vendor"] or options["upstream"],
            capabilities=options["can"],
            context_window=options["context_window"],
            max_output_tokens=options["max_output_tokens"],
            dimensions=options["dimensions"],
            nusd_per_unit=prices,
        )
        self.stdout.write(f"{options['name']} is served.")

    def set_(self, *, name: str, **options: Any) -> None:
        fields = ("base_url", "account_id", "gateway_id", "weight")
        changes = {field: options[field] for field in fields if options[field] is not None}
        if not changes:
            raise CommandError("What is to change? See upstream set --help.")
        change_upstream(name=name, **changes)
        self.stdout.write(f"{name} is changed.")

    def remove_(self, *, name: str, **options: Any) -> None:
        if Upstream.objects.get(name=name).state == Upstream.State.ACTIVE:
            raise CommandError(f"{name} is called. Switch it off first: upstream off {name}.")
        remove_upstream(name=name)
        self.stdout.write(f"{name} is removed.")

    def models_(self, *, name: str, **options: Any) -> None:
        for row in Upstream.objects.get(name=name).ai_models.order_by("name"):
            self.stdout.write(f"{row.name}\t{row.kind}\t{row.upstream_model}")

    def remove_model_(self, *, name: str, **options: Any) -> None:
        from inference.catalog.services import remove_server_model

        remove_server_model(name=name)
        self.stdout.write(f"{name} is served no more.")

    def test_(self, *, name: str, model: str, **options: Any) -> None:
        from inference.catalog.selectors import read_catalogue

        account = account_named(name)
        offers = read_catalogue().offers.values()
        server = name if account.provider == OPENAI_COMPATIBLE else ""
        mine = {row.name: row for row in offers if row.upstream == server}
        wanted = model or next((row.name for row in mine.values() if row.kind == "chat"), "")
        wanted = wanted or next(iter(mine), "")
        if wanted not in mine:
            raise CommandError(
                f"{name} has no AI model {model!r}." if model else f"{name} has no AI models yet."
            )
        offer = mine[wanted]
        if offer.kind not in ("chat", "embeddings"):
            raise CommandError(f"{wanted} is for {offer.kind}: name one for chat or embeddings.")
        trial = try_upstream(account, upstream_model=offer.upstream_model, kind=offer.kind)
        if trial.failure:
            raise CommandError(f"{name} did not answer for {wanted}: {trial.failure}")
        self.stdout.write(f"{name} answered for {wanted} in {trial.took_ms} ms.")

    def set_token_(self, *, name: str, **options: Any) -> None:
        set_api_token(name=name, api_token=_token())
        self.stdout.write(f"{name} has another token.")

    def on_(self, *, name: str, **options: Any) -> None:
        set_state(name=name, state=Upstream.State.ACTIVE)
        self.stdout.write(f"{name} is called again.")

    def off_(self, *, name: str, **options: Any) -> None:
        set_state(name=name, state=Upstream.State.OFF)
        self.stdout.write(f"{name} is called no more.")


def _token() -> str:
    return os.environ.get(TOKEN_VARIABLE) or getpass.getpass("API token: ")


def _nusd_per_token(usd_per_million: str) -> Decimal:
    try:
        return Decimal(usd_per_million) * NUSD_PER_USD / 1_000_000
    except InvalidOperation:
        raise CommandError(f"{usd_per_million!r} is not an amount in dollars.") from None
