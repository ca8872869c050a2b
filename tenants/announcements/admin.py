from typing import Any

from django import forms
from django.contrib import admin
from django.utils import timezone
from unfold.decorators import display
from unfold.widgets import UnfoldAdminURLInputWidget

from tenants.announcements.models import Announcement
from tenants.operators.reasons import ReasonedAdmin


class AnnouncementForm(forms.ModelForm):  # type: ignore[type-arg]
    link = forms.URLField(
        required=False,
        assume_scheme="https",
        help_text="Where more stands. Empty: nowhere.",
        widget=UnfoldAdminURLInputWidget(),
    )

    class Meta:
        model = Announcement
        fields = (
            *("text", "link", "level", "starts_at", "ends_at", "plan", "tenant"),
            "can_be_hidden",
        )


@admin.register(Announcement)
class AnnouncementAdmin(ReasonedAdmin):
    """Banners above the pages of workspaces."""

    form = AnnouncementForm
    list_display = ("text", "state", "level", "starts_at", "ends_at", "whom", "hidden")
    list_filter = ("level",)
    search_fields = ("text",)
    autocomplete_fields = ("tenant",)

    @display(description="State", label={"Shown": "success", "To come": "info"})
    def state(self, row: Announcement) -> str:
        now = timezone.now()
        if row.starts_at > now:
            return "To come"
        return "Over" if row.ends_at and row.ends_at <= now else "Shown"

    @display(description="For")
    def whom(self, row: Announcement) -> str:
        return str(row.tenant or row.plan or "all workspaces")

    @display(description="Hidden by")
    def hidden(self, row: Any) -> str:
        return f"{row.hidden_by.count()} people"
