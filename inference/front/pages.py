"""What a person sees who has no account yet: what this is, and what it costs.

Where nobody can sign up there is nobody to show it to: then one signs in.
"""

from collections import Counter
from collections.abc import Callable, Collection

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from billing.dashboard.quickstart import QUICKSTART_MODEL
from billing.dashboard.views import home
from inference.catalog.cards import Card, Wanted, chosen
from inference.catalog.pages import all_cards, model_page, models_page
from inference.catalog.table import KINDS

_FRAME = "front/base.html"
_EXAMPLES = 6


def front_page(request: HttpRequest) -> HttpResponse:
    """Whoever is signed in goes to their workspaces."""
    if request.user.is_authenticated:
        return home(request)
    if not settings.SIGNUP_OPEN:
        return redirect_to_login(reverse("home"))
    shown = chosen(all_cards(request), Wanted())
    served = [card for card in shown if not card.leads_to and not card.is_ending]
    context = {
        "served": len(served),
        "kinds": _kinds(served),
        "examples": _examples(served),
        "trial_nusd": settings.TRIAL_CREDIT_NUSD,
        "quickstart_model": QUICKSTART_MODEL,
    }
    return render(request, "front/landing.html", context)


def price_list(request: HttpRequest) -> HttpResponse:
    return _for_strangers(request, lambda: models_page(request, frame=_FRAME, models_url=_url()))


def price_list_model(request: HttpRequest, name: str) -> HttpResponse:
    return _for_strangers(
        request, lambda: model_page(request, name, frame=_FRAME, models_url=_url())
    )


def _for_strangers(request: HttpRequest, page: Callable[[], HttpResponse]) -> HttpResponse:
    if not settings.SIGNUP_OPEN and not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    return page()


def _url() -> str:
    return reverse("price_list")


def _kinds(served: Collection[Card]) -> list[tuple[str, str, int]]:
    """Name, label and how many there are, the most common first."""
    counts = Counter(card.kind for card in served if card.kind in KINDS)
    return [(kind, KINDS[kind][0], count) for kind, count in counts.most_common()]


def _examples(served: Collection[Card]) -> list[Card]:
    """The newest for chat, one of each vendor."""
    newest = sorted(
        (card for card in served if card.kind == "chat"), key=lambda card: card.released
    )
    by_vendor = {card.vendor: card for card in newest}
    ordered = sorted(by_vendor.values(), key=lambda card: -card.released)
    return ordered[:_EXAMPLES]
