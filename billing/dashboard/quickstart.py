"""The way to a first call: what snippets ask for."""

# A chat model that is cheap, quick and there to stay.
QUICKSTART_MODEL = "llama-3.3-70b-fast"
