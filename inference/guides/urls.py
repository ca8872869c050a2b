from django.urls import path

from inference.guides import pages

urlpatterns = [
    path("t/<slug:slug>/docs/", pages.guide_list, name="guides"),
    path("t/<slug:slug>/docs/<slug:name>/", pages.guide, name="guide"),
]
