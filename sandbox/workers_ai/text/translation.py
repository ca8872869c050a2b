"""Translation: the text as it came, saying that nobody has translated it."""

from sandbox.workers_ai.fields import Fields
from sandbox.workers_ai.one_piece import RULES_FINGERPRINT, Call, Outcome
from sandbox.workers_ai.script import without_directive

TOKENS_PER_TEXT = 2

# The languages IndicTrans2 was published with.
INDIC_CODES = """asm_Beng awa_Deva ben_Beng bho_Deva brx_Deva doi_Deva gom_Deva gon_Deva guj_Gujr
hin_Deva hne_Deva kan_Knda kas_Arab kas_Deva kha_Latn lus_Latn mag_Deva mai_Deva mal_Mlym mar_Deva
mni_Beng mni_Mtei npi_Deva ory_Orya pan_Guru san_Deva sat_Olck snd_Arab snd_Deva tam_Taml tel_Telu
urd_Arab unr_Deva"""
INDIC_LANGUAGES = tuple(INDIC_CODES.split())


async def translate(call: Call) -> Outcome:
    if "indictrans2" in call.model.id:
        return await translate_to_indic(call)
    fields = Fields(call.body.fields)
    text = fields.text("text")
    source = fields.text("source_lang", default="en")
    target = fields.text("target_lang")
    fields.refuse_wrong()
    translated = answer_of(call, text, f"{source} to {target}")
    return await outcome(call, [text], [translated], {"translated_text": translated})


async def translate_to_indic(call: Call) -> Outcome:
    fields = Fields(call.body.fields)
    fields.require("text")
    texts = fields.texts("text") if "text" in fields.raw else []
    target = fields.choice("target_language", INDIC_LANGUAGES, default="hin_Deva")
    fields.refuse_wrong()
    translated = [answer_of(call, text, f"English to {target}") for text in texts]
    return await outcome(call, texts, translated, {"translations": translated})


def answer_of(call: Call, text: str, languages: str) -> str:
    scripted = call.directive.scripted_text
    if scripted is not None:
        return scripted
    return f"[the sandbox does not translate from {languages}] {without_directive(text)}"


async def outcome(
    call: Call, texts: list[str], translated: list[str], result: dict[str, object]
) -> Outcome:
    counted = await call.count_tokens(texts) + TOKENS_PER_TEXT * len(texts)
    written = await call.count_tokens(translated) + TOKENS_PER_TEXT * len(translated)
    neurons = call.neurons(
        {
            "input_tokens": call.input_tokens(counted),
            "output_tokens": call.input_tokens(written, key="completion_tokens"),
        }
    )
    return Outcome(source=RULES_FINGERPRINT, result=result, neurons=neurons)
