"""Below /v1."""

from django.urls import path

from agents.conversations.views import (
    ConversationListView,
    ConversationView,
    ForkView,
    ItemListView,
    ItemView,
)
from agents.responses.views import CancelView, InputItemsView, ResponseListView, ResponseView

urlpatterns = [
    path("conversations", ConversationListView.as_view()),
    path("conversations/<str:conversation_id>", ConversationView.as_view()),
    path("conversations/<str:conversation_id>/fork", ForkView.as_view()),
    path("conversations/<str:conversation_id>/items", ItemListView.as_view()),
    path("conversations/<str:conversation_id>/items/<str:item_id>", ItemView.as_view()),
    path("responses", ResponseListView.as_view()),
    path("responses/<str:response_id>", ResponseView.as_view()),
    path("responses/<str:response_id>/cancel", CancelView.as_view()),
    path("responses/<str:response_id>/input_items", InputItemsView.as_view()),
]
