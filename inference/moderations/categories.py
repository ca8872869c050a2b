"""Llama Guard's hazards as OpenAI's categories.

Source of the hazards: the model card of Llama Guard 3 (MLCommons' taxonomy). Hazards that OpenAI
has no category for (advice, privacy, copyright, elections) flag a text without one.
"""

CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)

_BY_HAZARD = {
    "S1": ("violence", "illicit/violent"),
    "S2": ("illicit",),
    "S3": ("sexual", "illicit"),
    "S4": ("sexual", "sexual/minors"),
    "S5": ("harassment",),
    "S6": (),
    "S7": (),
    "S8": (),
    "S9": ("illicit/violent", "violence"),
    "S10": ("hate",),
    "S11": ("self-harm",),
    "S12": ("sexual",),
    "S13": (),
    "S14": ("illicit",),
}
# What the model looks for in every text. Of the others it says nothing.
_JUDGED = {category for categories in _BY_HAZARD.values() for category in categories}
# The model says yes or no; OpenAI's clients compare a score with a threshold of their own.
_YES, _NO = 0.99, 0.01


def moderation_result(*, safe: bool, hazards: list[str]) -> dict[str, object]:
    """One of OpenAI's `results`, and the hazards as the model named them."""
    named = {category for hazard in hazards for category in _BY_HAZARD.get(hazard, ())}
    return {
        "flagged": not safe,
        "categories": {name: name in named for name in CATEGORIES},
        "category_scores": {name: _YES if name in named else _NO for name in CATEGORIES},
        "category_applied_input_types": {
            name: ["text"] if name in _JUDGED else [] for name in CATEGORIES
        },
        "hazards": hazards,
    }
