import pytest

from agentflare.names import complaint_about_name, one_line


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Acme",
        "Zoë & Söhne",
        "株式会社",
        "\u0645\u06cc\u200c\u062e",
        "\U0001f469\u200d\U0001f4bb Labs",
        "❤️",
        "O'Neil <b>",
        "=1+1",
        "A/B",
    ],
)
def test_names_of_people_and_firms_are_taken(name: str) -> None:
    assert complaint_about_name(name) == ""


@pytest.mark.parametrize(
    "name",
    [
        "a\nb",
        "a\0b",
        "Bank\u202eknab",
        "\u2066x",
        "a\u200bb",
        "\u200d",
        "\u200c ",
        "\ufeff",
        "\ud800",
    ],
)
def test_what_deceives_or_cannot_be_seen_is_not(name: str) -> None:
    assert complaint_about_name(name)


def test_a_name_is_one_line() -> None:
    assert one_line(" Acme \r\n\t Labs\u2028") == "Acme Labs"
