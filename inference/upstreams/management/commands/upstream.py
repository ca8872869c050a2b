import getpass
import os
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentflare.money import NUSD_PER_USD
from billing.prices.models import Unit
from inference.upstreams.models import Upstream
from inference.upstreams.services import UpstreamError, add_upstream, set_api_token, set_state

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
        for action, text in (("on", "call it"), ("off", "send it nothing more")):
            actions.add_parser(action, help=text).add_argument("name")

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
