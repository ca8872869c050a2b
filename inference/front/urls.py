from django.urls import path

from inference.front import pages

urlpatterns = [
    path("", pages.front_page, name="home"),
    path("models/", pages.price_list, name="price_list"),
    path("models/<path:name>/", pages.price_list_model, name="price_list_model"),
]
