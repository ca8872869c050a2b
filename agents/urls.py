"""Below /v1."""

from django.urls import path

from agents.agent_conversations.turn_views import (
    CancelTurnView,
    RetryTurnView,
    ToolOutputsView,
    TurnListView,
    TurnView,
)
from agents.agent_conversations.views import (
    AgentConversationListView,
    AgentConversationView,
    AgentForkView,
    ExportView,
    MessageListView,
)
from agents.client_tokens.views import ClientTokensView
from agents.conversations.views import (
    ConversationListView,
    ConversationView,
    ForkView,
    ItemListView,
    ItemView,
)
from agents.definitions.views import AgentListView, AgentView, ToolSecretView
from agents.responses.views import CancelView, InputItemsView, ResponseListView, ResponseView
from agents.sockets.asyncapi import AsyncApiView

_AGENT = "agents/<str:agent_id>"
_CONVERSATION = f"{_AGENT}/conversations/<str:conversation_id>"
_TURN = f"{_CONVERSATION}/turns/<str:turn_id>"

urlpatterns = [
    path("asyncapi.json", AsyncApiView.as_view()),
    path("agents", AgentListView.as_view()),
    path(_AGENT, AgentView.as_view()),
    path(f"{_AGENT}/tool_secret", ToolSecretView.as_view()),
    path(f"{_AGENT}/tokens", ClientTokensView.as_view()),
    path(f"{_AGENT}/conversations", AgentConversationListView.as_view()),
    path(_CONVERSATION, AgentConversationView.as_view()),
    path(f"{_CONVERSATION}/fork", AgentForkView.as_view()),
    path(f"{_CONVERSATION}/export", ExportView.as_view()),
    path(f"{_CONVERSATION}/messages", MessageListView.as_view()),
    path(f"{_CONVERSATION}/turns", TurnListView.as_view()),
    path(_TURN, TurnView.as_view()),
    path(f"{_TURN}/cancel", CancelTurnView.as_view()),
    path(f"{_TURN}/tool_outputs", ToolOutputsView.as_view()),
    path(f"{_TURN}/retry", RetryTurnView.as_view()),
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
