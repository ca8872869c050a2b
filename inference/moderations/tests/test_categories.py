"""What a verdict says in OpenAI's words."""

from inference.moderations.categories import moderation_result


def test_a_score_applies_to_a_text_wherever_the_model_has_looked() -> None:
    result = moderation_result(safe=False, hazards=["S9"])
    applied = result["category_applied_input_types"]

    assert isinstance(applied, dict)
    assert applied["violence"] == applied["hate"] == ["text"]
    # No hazard of the model's stands for it.
    assert applied["violence/graphic"] == []
