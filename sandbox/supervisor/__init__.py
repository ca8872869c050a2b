"""`python -m sandbox run`: the whole of AgentFlare on one machine, in the foreground."""

from sandbox.supervisor.sandbox import run

__all__ = ["run"]
