"""How well estimates of prompt tokens hold, and where their start values come from."""
