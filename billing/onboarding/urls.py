from django.urls import path

from billing.onboarding import views

urlpatterns = [
    path("new/", views.new_workspace, name="new_workspace"),
    path("new/address/", views.check_address, name="check_address"),
    path("t/<slug:slug>/quickstart/", views.quickstart, name="quickstart"),
    path("t/<slug:slug>/quickstart/key/", views.first_key, name="first_key"),
    path("t/<slug:slug>/quickstart/call/", views.first_call, name="first_call"),
]
