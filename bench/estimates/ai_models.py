"""AI models to measure with: what the catalogue believes of each, and what it really is."""

from dataclasses import dataclass

from bench.estimates.calls import Upstream
from bench.estimates.templates import TEMPLATES, VOCABULARIES, sandbox


@dataclass(frozen=True)
class Model:
    """name and vocabulary: the catalogue's. upstreams: what answers, one of these by chance."""

    name: str
    vocabulary: str
    upstreams: tuple[Upstream, ...]
    note: str = ""

    @property
    def label(self) -> str:
        return self.note or self.name


def published(name: str, vocabulary: str, tokenizer: str, template: str) -> Model:
    """As published; where its family has several templates, each of them by turns."""
    found = tuple(Upstream(tokenizer, one) for one in TEMPLATES[template])
    return Model(name, vocabulary, found)


# Every family of the catalogue, by the name of a model of it.
MODELS = [
    published("gpt-oss-120b", "o200k", "o200k_base", "harmony"),
    published("llama-3.3-70b-fast", "llama3", "llama3", "llama3"),
    published("llama-4-scout", "llama3", "llama3", "llama4"),
    published("qwen-3-30b", "qwen", "qwen3", "qwen3"),
    published("qwen-2.5-coder-32b", "qwen", "qwen3", "qwen2.5"),
    published("deepseek-v4-pro", "deepseek", "deepseek_v3", "deepseek"),
    published("glm-5.3", "glm", "glm4", "glm"),
    published("kimi-k2.6", "kimi", "kimi_k2", "kimi"),
    published("mistral-small-3.1", "mistral", "mistral_v3", "mistral"),
    published("gemma-4-26b", "gemma", "gemma4", "gemma"),
    published("sea-lion-v4-27b", "gemma", "gemma3", "gemma"),
    published("llama-2-7b-lora", "llama2", "llama2", "llama2"),
    published("mistral-7b-lora", "llama2", "mistral_v1", "llama2"),
]
# Models that no vocabulary is known of: one that could be any.
UNKNOWN = Model(
    "eurollm-9b",
    "unknown",
    tuple(
        Upstream(tokenizer, template)
        for tokenizer in VOCABULARIES["unknown"]
        for template in TEMPLATES["unknown"]
    ),
    note="unknown vocabulary",
)


def wrong(note: str, name: str, vocabulary: str, upstream: Upstream) -> Model:
    return Model(name, vocabulary, (upstream,), note)


# Where start values are wrong, and learning has to help.
SURPRISES = [
    wrong("unknown, is mistral", "eurollm-9b", "unknown",
          Upstream("mistral_v3", TEMPLATES["mistral"][0])),
    wrong("unknown, is llama2", "eurollm-9b", "unknown",
          Upstream("llama2", TEMPLATES["llama2"][0])),
    wrong("gpt-oss, is llama2", "gpt-oss-120b", "o200k",
          Upstream("llama2", TEMPLATES["llama2"][0])),
    wrong("llama3 in the sandbox", "llama-3.3-70b-fast", "llama3", Upstream("llama3", sandbox)),
    wrong("gpt-oss in the sandbox", "gpt-oss-120b", "o200k", Upstream("gpt-oss", sandbox)),
]  # fmt: skip
