from pathlib import Path

from inference.catalog.table import models_table

PAGE = Path(__file__).parents[3] / "docs" / "models.md"


def test_the_page_of_models_is_what_the_catalogue_says() -> None:
    """Make it anew: manage.py models_table > docs/models.md"""
    assert PAGE.read_text() == models_table()


def test_every_live_model_is_on_the_page() -> None:
    table = models_table()
    lines = [line for line in table.splitlines() if line.startswith("| `")]
    assert len(lines) == 73
    assert sum("WebSocket only" in line for line in lines) == 1
    assert sum("no price is known" in line for line in lines) > 5
    assert "`deepgram-flux`" in table
