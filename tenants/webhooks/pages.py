"""A workspace's webhooks: endpoints, their secrets, the log of what was sent."""

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from agentflare import throttle
from tenants.members.access import Workspace, workspace_page
from tenants.members.permissions import Permission
from tenants.webhooks import endpoints
from tenants.webhooks.forms import ChangeForm, EndpointForm
from tenants.webhooks.models import WebhookDelivery, WebhookEndpoint

_PAGE_SIZE = 25
# Tests, and repeats of what was sent, in a minute.
_BY_HAND = 20
_OFF = "This webhook is switched off: switch it on first."
_TOO_OFTEN = f"At most {_BY_HAND} are sent by hand in a minute. Wait a little."
_page = workspace_page(Permission.MANAGE_SETTINGS)


@_page
def endpoint_list(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    return render(request, "webhooks/list.html", {"endpoints": WebhookEndpoint.objects.all()})


@never_cache
@_page
def endpoint_new(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    if request.method != "POST":
        return render(request, "webhooks/form.html", {"form": EndpointForm()})
    form = EndpointForm(request.POST)
    if form.is_valid():
        try:
            endpoint, secret = endpoints.create_endpoint(
                tenant=workspace.tenant, actor=workspace.acting(request), **form.cleaned_data
            )
        except endpoints.TooManyEndpointsError as exc:
            form.add_error(None, str(exc))
        else:
            return _show_once(request, endpoint, secret)
    return render(request, "webhooks/form.html", {"form": form}, status=422)


@_page
def endpoint_detail(request: HttpRequest, workspace: Workspace, endpoint_id: int) -> HttpResponse:
    endpoint = _find(endpoint_id)
    return render(request, "webhooks/detail.html", _log(request, endpoint))


@_page
def endpoint_log(request: HttpRequest, workspace: Workspace, endpoint_id: int) -> HttpResponse:
    """The log alone: the page asks for it while something is on its way."""
    return render(request, "webhooks/log.html", _log(request, _find(endpoint_id)))


def _log(request: HttpRequest, endpoint: WebhookEndpoint) -> dict[str, Any]:
    pages = Paginator(endpoint.deliveries.all(), _PAGE_SIZE)
    page = pages.get_page(request.GET.get("page"))
    is_busy = any(delivery.is_pending for delivery in page)
    return {"endpoint": endpoint, "deliveries": page, "is_busy": is_busy}


@_page
def endpoint_change(request: HttpRequest, workspace: Workspace, endpoint_id: int) -> HttpResponse:
    endpoint = _find(endpoint_id)
    if request.method != "POST":
        fields = ("url", "name", "events", "is_enabled")
        form = ChangeForm(initial={field: getattr(endpoint, field) for field in fields})
        return render(request, "webhooks/form.html", {"form": form, "endpoint": endpoint})
    form = ChangeForm(request.POST)
    if not form.is_valid():
        context = {"form": form, "endpoint": endpoint}
        return render(request, "webhooks/form.html", context, status=422)
    endpoints.change_endpoint(
        endpoint_id=endpoint_id, actor=workspace.acting(request), **form.cleaned_data
    )
    messages.success(request, "Saved.")
    return redirect("webhook", slug=workspace.slug, endpoint_id=endpoint_id)


@never_cache
@require_POST
@_page
def endpoint_rotate(request: HttpRequest, workspace: Workspace, endpoint_id: int) -> HttpResponse:
    _find(endpoint_id)
    endpoint, secret = endpoints.rotate_secret(
        endpoint_id=endpoint_id, actor=workspace.acting(request)
    )
    return _show_once(request, endpoint, secret)


@require_POST
@_page
def endpoint_ping(request: HttpRequest, workspace: Workspace, endpoint_id: int) -> HttpResponse:
    if not _find(endpoint_id).is_enabled:
        messages.error(request, _OFF)
    elif not _may_send(workspace):
        messages.error(request, _TOO_OFTEN)
    else:
        endpoints.ping(
            tenant=workspace.tenant, endpoint_id=endpoint_id, actor=workspace.acting(request)
        )
        messages.success(request, "A test is on its way: see the log below.")
    return redirect("webhook", slug=workspace.slug, endpoint_id=endpoint_id)


@require_POST
@_page
def endpoint_remove(request: HttpRequest, workspace: Workspace, endpoint_id: int) -> HttpResponse:
    _find(endpoint_id)
    endpoints.remove_endpoint(endpoint_id=endpoint_id, actor=workspace.acting(request))
    messages.success(request, "The webhook is removed.")
    return redirect("webhooks", slug=workspace.slug)


@_page
def delivery_detail(
    request: HttpRequest, workspace: Workspace, endpoint_id: int, delivery_id: int
) -> HttpResponse:
    delivery = WebhookDelivery.objects.filter(pk=delivery_id, endpoint_id=endpoint_id).first()
    if delivery is None:
        raise Http404
    context = {"endpoint": delivery.endpoint, "delivery": delivery}
    return render(request, "webhooks/delivery.html", context)


@require_POST
@_page
def delivery_again(
    request: HttpRequest, workspace: Workspace, endpoint_id: int, delivery_id: int
) -> HttpResponse:
    if not _find(endpoint_id).is_enabled:
        messages.error(request, _OFF)
        return redirect("webhook", slug=workspace.slug, endpoint_id=endpoint_id)
    if not WebhookDelivery.objects.filter(pk=delivery_id, endpoint_id=endpoint_id).exists():
        raise Http404
    if not _may_send(workspace):
        messages.error(request, _TOO_OFTEN)
        return redirect("webhook", slug=workspace.slug, endpoint_id=endpoint_id)
    try:
        endpoints.send_again(
            tenant=workspace.tenant,
            endpoint_id=endpoint_id,
            delivery_id=delivery_id,
            actor=workspace.acting(request),
        )
    except WebhookDelivery.DoesNotExist:
        raise Http404 from None
    messages.success(request, "On its way again.")
    return redirect("webhook", slug=workspace.slug, endpoint_id=endpoint_id)


def _may_send(workspace: Workspace) -> bool:
    """Nobody is to knock at a stranger's server by pressing a button of ours."""
    return throttle.allows("webhook", workspace.tenant.code, most=_BY_HAND, in_s=60)


def _find(endpoint_id: int) -> WebhookEndpoint:
    endpoint = WebhookEndpoint.objects.filter(pk=endpoint_id).first()
    if endpoint is None:
        raise Http404
    return endpoint


def _show_once(request: HttpRequest, endpoint: WebhookEndpoint, secret: str) -> HttpResponse:
    return render(request, "webhooks/secret.html", {"endpoint": endpoint, "secret": secret})
