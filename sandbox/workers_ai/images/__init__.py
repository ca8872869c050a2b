"""Kinds of models that make pictures or look at them."""
