from django.urls import path

from inference.catalog import pages

urlpatterns = [
    path("t/<slug:slug>/models/", pages.models, name="models"),
    path("t/<slug:slug>/models/<path:name>/", pages.model, name="model"),
]
