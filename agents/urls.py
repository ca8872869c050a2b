"""Below /v1."""

from django.urls import path

from agents.conversations.views import (
    ConversationListView,
    ConversationView,
    ForkView,
    ItemListView,
    ItemView,
)

urlpatterns = [
    path("conversations", ConversationListView.as_view()),
    path("conversations/<str:conversation_id>", ConversationView.as_view()),
    path("conversations/<str:conversation_id>/fork", ForkView.as_view()),
    path("conversations/<str:conversation_id>/items", ItemListView.as_view()),
    path("conversations/<str:conversation_id>/items/<str:item_id>", ItemView.as_view()),
]
