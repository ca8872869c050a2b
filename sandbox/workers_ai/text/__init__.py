"""Kinds of models that turn text into figures, labels or other text."""
