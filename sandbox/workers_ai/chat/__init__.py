"""Text generation: one package for the kind `chat`."""
