"""Real small models for what llama.cpp does not do: embeddings, a voice, an ear.

Each runs in a child process of its own that is started at its first use.
"""

from dataclasses import dataclass

from sandbox.workers_ai.small_models.ear import Ear
from sandbox.workers_ai.small_models.embedder import Embedder
from sandbox.workers_ai.small_models.host import Host
from sandbox.workers_ai.small_models.voice import Voice


@dataclass(frozen=True)
class SmallModels:
    embedder: Embedder
    voice: Voice
    ear: Ear

    @classmethod
    def make(cls, *, is_wanted: bool) -> "SmallModels":
        return cls(
            embedder=Embedder(is_wanted=is_wanted),
            voice=Voice(is_wanted=is_wanted),
            ear=Ear(is_wanted=is_wanted),
        )

    def states(self) -> dict[str, str]:
        """For /health: "off", "not_installed", "idle" or "running" by name."""
        return {host.name: host.state for host in self._hosts}

    def missed(self) -> list[str]:
        """For /health: the names of those that were asked for and are not installed."""
        return [host.name for host in self._hosts if host.was_missed and host.missing]

    async def stop(self) -> None:
        for host in self._hosts:
            await host.stop()

    @property
    def _hosts(self) -> tuple[Host, ...]:
        return self.embedder, self.voice, self.ear
