from django.apps import AppConfig


class ConversationsConfig(AppConfig):
    name = "agents.conversations"
    verbose_name = "Conversations"
