"""Agents: long histories, idle WebSockets, and going on after a drop."""
