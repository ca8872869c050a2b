from django.apps import AppConfig


class AnnouncementsConfig(AppConfig):
    name = "tenants.announcements"
    verbose_name = "Announcements"
