"""What one stand-in process is told when it starts."""

from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

# Both are data files, reached by path: the sandbox imports nothing of the product.
DEFAULT_CATALOGUE = REPOSITORY / "inference" / "catalog" / "data" / "workers_ai.json"
DEFAULT_MODEL_FILE = REPOSITORY / ".venv" / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Command line options, see `python -m sandbox.workers_ai --help`."""

    host: str = "127.0.0.1"
    port: int = 0
    model_file: Path = DEFAULT_MODEL_FILE
    catalogue: Path = DEFAULT_CATALOGUE
    scripted_only: bool = False
    reject_tokens: frozenset[str] = frozenset()
    require_licences: bool = False
    books: Path | None = None
