"""Kinds of models that speak or listen."""
