from django.urls import path, re_path

from inference import views

urlpatterns = [
    path("chat/completions", views.ChatCompletionsView.as_view()),
    path("models", views.ModelListView.as_view()),
    path("models/<path:name>", views.ModelView.as_view()),
    re_path("", views.NotFoundView.as_view()),
]
