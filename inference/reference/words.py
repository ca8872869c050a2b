"""What each parameter means: the document's descriptions of the fields of requests.

They are here and not beside the fields, because most of them are the same for several models. A
test sees to it that every field has one, and that none is left over.
"""

from inference.reference.schemas import Schema

IGNORED = "Accepted, and without meaning here."
_ENGINES = "Of Workers AI's engines; with OpenAI's clients through `extra_body`."

# By field, wherever it stands.
COMMON: dict[str, str] = {
    "model": "The model, or a route: an `id` of `GET /v1/models`, or Cloudflare's id.",
    "user": IGNORED,
    "stream": "Send the answer as server-sent events, while it is made.",
    "stream_options": "Only with `stream`.",
    "include_usage": "Send a last event with the usage and the cost.",
    "max_tokens": "The most tokens that the model may write. Less of it holds less credit.",
    "n": "How many answers. Each is charged.",
    "temperature": "How freely the model chooses its words: 0 hardly, higher more.",
    "top_p": "Choose among the likeliest tokens that together have this probability.",
    "presence_penalty": "Above 0: rather write of what has not been named yet.",
    "frequency_penalty": "Above 0: repeat the same words less often.",
    "seed": "The same seed gives the same answer more often, but not always.",
    "stop": "Up to 4 texts. The answer ends before the first of them that comes.",
    "logit_bias": "Token → -100 to 100: make it less or more likely. Where the model can.",
    "top_k": f"Choose among so many of the likeliest tokens. {_ENGINES}",
    "repetition_penalty": f"Above 1: repeat less. {_ENGINES}",
    "safety_identifier": IGNORED,
    "service_tier": IGNORED,
    "metadata": IGNORED,
}

_KEY = {
    "name": "What you call it.",
    "scopes": "What it may be used for; `inference` and `agents` unless said.",
    "models": "Models and routes that it may call; empty: everything.",
    "ip_ranges": "Addresses and ranges (`203.0.113.0/24`) it may be used from; empty: anywhere.",
    "expires_at": "When it ends, as `2027-01-31T12:00:00Z`; null: never.",
    "cache_ttl_s": "How old an answer from the cache may be for calls that do not say: 60 to "
    "2592000, or 0 for no cache; null: as the workspace says.",
    "limits": "Of all its calls together.",
    "model_limits": "Model or route → limits of its calls there.",
    "budgets": "What it may spend in a UTC day, in a UTC month, and in its life.",
    "alert_percents": "Parts of a budget whose spending is told by mail; 50, 80 and 100 unless "
    "said.",
}
_LIMIT = {
    "requests_per_minute": "In any 60 seconds; null: no limit.",
    "tokens_per_minute": "Prompt and answer together, in any 60 seconds; null: no limit.",
    "concurrent_calls": "Running at the same time; null: no limit.",
}

BY_SCHEMA: dict[str, dict[str, str]] = {
    # --- API keys -------------------------------------------------------------------
    "CreateKeyParams": _KEY,
    "UpdateKeyParams": _KEY,
    "RotateKeyParams": {"overlap_s": "How long the old key works on, in seconds; 0: not at all."},
    "KeyLimits": _LIMIT,
    "KeyBudgets": {
        "day": "Dollars, as `1.50`; null: no budget.",
        "month": "Dollars; null: no budget.",
        "life": "Dollars; null: no budget.",
    },
    # --- chat -----------------------------------------------------------------------
    "ChatCompletionParams": {
        "messages": "The conversation so far, the oldest message first.",
        "max_tokens": "The older name of `max_completion_tokens`, which wins where both are sent.",
        "max_completion_tokens": "The most tokens that the model may write, its thinking "
        "included. Less of it holds less credit.",
        "n": "How many answers. The prompt is charged for each of them.",
        "logprobs": "Tell how likely each token was. Where the model can.",
        "top_logprobs": "With `logprobs`: tell of so many other tokens at each place.",
        "tools": "Functions of yours that the model may call.",
        "tool_choice": "`auto`: as the model likes. `none`: no call. `required`: some call. An "
        "object: this function, or some of the tools alone.",
        "parallel_tool_calls": "False: one call at a time.",
        "response_format": "What the answer must be.",
        "reasoning_effort": "How much a reasoning model thinks before it answers; `none`: not "
        "at all, where it can. Thinking is charged as output.",
        "chat_template_kwargs": f"Options of the model's template of a chat. {_ENGINES}",
        "store": IGNORED,
        "prompt_cache_key": "Calls with the same text are sent to the same place, where their "
        "common beginning may be cached.",
        "prompt_cache_options": IGNORED,
        "prompt_cache_retention": IGNORED,
        "verbosity": IGNORED,
        "modalities": "`text` is all there is.",
    },
    "ChatMessage": {
        "role": "Who speaks. `developer` is taken for `system`.",
        "content": "What is said: a text, or parts. May be missing beside `tool_calls`.",
        "tool_calls": "Of the assistant: the calls it made.",
        "tool_call_id": "Of a tool: which call this is the result of.",
        "name": "Of a tool or function: its name.",
    },
    "ChatTextPart": {"type": "", "text": "The text."},
    "ChatImagePart": {"type": "", "image_url": "Where the image is. For models with vision."},
    "ChatImageUrl": {
        "url": "A data URL, or an http(s) URL that we fetch: PNG, JPEG, GIF or WebP.",
        "detail": IGNORED,
    },
    "ChatRefusalPart": {"type": "", "refusal": "What the assistant said when it refused."},
    "ChatToolCall": {
        "id": "As the assistant gave it; the tool's message refers to it.",
        "type": "",
        "function": "What is called.",
    },
    "ChatFunctionCall": {"name": "The function.", "arguments": "JSON, as the model wrote it."},
    "ChatTool": {"type": "", "function": "What the model may call."},
    "ChatFunction": {
        "name": "How the model calls it.",
        "description": "What it does, for the model to know when to call it.",
        "parameters": "A JSON schema of its arguments.",
        "strict": "Keep to the schema. Where the model can.",
    },
    "ChatNamedToolChoice": {"type": "", "function": "The one to be called."},
    "ChatAllowedToolChoice": {"type": "", "allowed_tools": "Which, and how."},
    "ChatAllowedTools": {
        "mode": "`auto`: as the model likes. `required`: one of them.",
        "tools": "Some of `tools`; the others are not offered.",
    },
    "ChatNamedFunction": {"name": "One of `tools`."},
    "ChatResponseFormat": {
        "type": "`json_object`: some JSON. `json_schema`: JSON for your schema. Where a model "
        "has no mode for it, the answer is checked and asked for once more.",
        "json_schema": "With `json_schema`.",
    },
    "ChatJsonSchema": {
        "name": "A name for it.",
        "schema": "The JSON schema.",
        "strict": "Keep to the schema in every detail. Where the model can.",
        "description": "What the answer is for, for the model to know.",
    },
    "ChatStreamOptions": {},
    "CompletionParams": {
        "prompt": "What the text goes on from: a text or several, or tokens of OpenAI's "
        "tokenizers.",
        "max_tokens": "The most tokens that the model may write; 16 unless you say more.",
        "best_of": "Not more than `n`.",
        "echo": "Put the prompt before the answer.",
        "logprobs": "Tell how likely so many tokens were at each place. Where the model can.",
        "n": "How many answers to each prompt.",
    },
    # --- texts ----------------------------------------------------------------------
    "EmbeddingParams": {
        "input": "A text or several, or tokens of OpenAI's tokenizers. Each has the model's "
        "window for itself; one that is longer is refused by its name, as `input[17]`.",
        "encoding_format": "`float`: numbers. `base64`: their bytes, little-endian float32.",
        "dimensions": "The length of the vectors. Fewer than the model has where it was trained "
        "for that.",
        "pooling": "How BGE models make one vector of many.",
        "instruction": "For `qwen-3-embedding`: what the vectors are for.",
        "input_type": "For `qwen-3-embedding`: whether these are queries or documents.",
    },
    "ModerationParams": {
        "model": "A model for moderation, or OpenAI's name of theirs. None: the one we have.",
        "input": "A text; several, each with a result of its own; or text parts, with one "
        "result together.",
    },
    "ModerationText": {"type": "", "text": "The text."},
    "RerankParams": {
        "query": "What is looked for.",
        "documents": "Where it is looked for: texts, or objects with a `text` or "
        "the `rank_fields`.",
        "top_n": "Answer with so many of the best. All of them unless told.",
        "return_documents": "Put each document beside its score.",
        "rank_fields": "Of documents that are objects: the fields to rank them by. `text` unless "
        "told.",
        "priority": IGNORED,
        "truncation": IGNORED,
        "max_chunks_per_doc": f"{IGNORED} Documents are never cut into several.",
        "max_tokens_per_doc": IGNORED,
    },
    "Document": {"text": "What is ranked. Other fields come back with it."},
    "TranslationParams": {
        "input": "A text, or up to 100.",
        "target_language": "Into which language: `fr`, or as the model names it.",
        "source_language": "Out of which language. English unless told.",
    },
    "ClassificationParams": {
        "input": "A text, or up to 100.",
        "top_k": "Answer with so many of the likeliest labels. All of them unless told.",
    },
    "SummaryParams": {
        "input": "The text to be summarised.",
        "length": "`short`: a sentence or two. `medium`: a paragraph. `long`: several.",
        "format": "As prose, or as a list.",
        "language": "Of the summary. The text's own unless told.",
        "instructions": "What else the model should know or heed.",
    },
    # --- images ---------------------------------------------------------------------
    "ImageGenerationParams": {},
    "ImageJsonEditParams": {
        "images": "The images to start from.",
        "mask": "For inpainting models: of the image's size; what is fully transparent in it is "
        "made anew.",
    },
    "ImageFormEditParams": {},
    "ImageNamedImage": {
        "image_url": "A data URL, or an http(s) URL that we fetch: PNG, JPEG, GIF or WebP.",
    },
    "ImageJsonClassificationParams": {
        "image": "A data URL, or an http(s) URL that we fetch: PNG, JPEG, GIF or WebP.",
    },
    "ImageFormClassificationParams": {},
    # --- audio ----------------------------------------------------------------------
    "SpeechParams": {
        "input": "What is spoken. Its characters are charged.",
        "voice": "One of OpenAI's names (`alloy` …), or of the model's own.",
        "response_format": "Which sound. Some models can do some of them only, and are refused "
        "with what they can.",
        "stream_format": "`audio`: the sound as it is. `sse`: events with it inside, in base64.",
        "speed": "1 is all there is.",
        "instructions": "A hint: accepted, and without effect; no voice here has a use for it.",
    },
    "SpeechVoiceId": {"id": "The voice's name."},
    "TranscriptionParams": {
        "language": "Spoken in the sound, as an ISO 639-1 code. Found out unless told. A "
        "hint: accepted, without effect where the model has no use for it.",
        "stream": "Send the text as server-sent events, segment by segment.",
        "timestamp_granularities": "With `verbose_json`: `word`, `segment` or both. Sent as "
        "`timestamp_granularities[]`.",
        "chunking_strategy": '`auto`, or `{"type": "server_vad"}` to leave out silence.',
        "include": "Log probabilities cannot be had: empty alone.",
    },
    "TranscriptTranslationParams": {},
    # --- Anthropic's ----------------------------------------------------------------
    "AnthropicPromptParams": {},
    "AnthropicMessageParams": {
        "max_tokens": "The most tokens that the model may write, its thinking included.",
        "stop_sequences": "Up to 4 texts. The answer ends before the first of them that comes.",
        "top_k": "Choose among so many of the likeliest tokens.",
        "metadata": "Who asks.",
        "thread": "Accepted, but nothing is kept: a thread cannot be continued.",
        "diagnostics": IGNORED,
    },
    "AnthropicThread": {
        "type": "`create` has no effect; `continue` is answered `thread_not_found`.",
        "previous_message_id": "Of a thread to be continued.",
    },
    "AnthropicMetadata": {
        "user_id": "Keeps one user's calls together at the provider, for its cache.",
    },
    "AnthropicMessage": {
        "role": "Who speaks.",
        "content": "What is said: a text, or blocks.",
    },
    "AnthropicTool": {
        "name": "How the model calls it.",
        "type": "None, or `custom`: Anthropic's own tools are refused.",
        "description": "What it does, for the model to know when to call it.",
        "input_schema": "A JSON schema of its input.",
        "strict": "Keep to the schema. Where the model can.",
    },
    "AnthropicToolChoice": {
        "type": "`auto`: as the model likes. `any`: some tool. `tool`: the one that is named. "
        "`none`: no tool.",
        "name": "With `tool`.",
        "disable_parallel_tool_use": "One call at a time.",
    },
    "AnthropicThinking": {
        "type": "`disabled`: no thinking, where the model can. The others: think, and show it.",
        "budget_tokens": "How much: up to 4096 is little, up to 16384 medium, more is much.",
        "display": "`omitted`: without the text of the thoughts.",
    },
    "AnthropicOutputConfig": {
        "effort": "How much a reasoning model thinks.",
        "format": "JSON for your schema.",
    },
    "AnthropicOutputFormat": {"type": "", "schema": "The JSON schema."},
    "AnthropicTextBlock": {"type": "", "text": "The text."},
    "AnthropicImageBlock": {"type": "", "source": "For models with vision."},
    "AnthropicBase64Source": {
        "type": "",
        "media_type": "What it is.",
        "data": "The image, in base64.",
    },
    "AnthropicUrlSource": {"type": "", "url": "An http(s) URL that we fetch."},
    "AnthropicDocumentBlock": {
        "type": "",
        "source": "Its text, or its blocks.",
        "title": "What it is called.",
        "context": "What else is to be known of it.",
    },
    "AnthropicPlainTextSource": {"type": "", "data": "The text."},
    "AnthropicBlocksSource": {"type": "", "content": "A text, or blocks."},
    "AnthropicSearchResultBlock": {
        "type": "",
        "source": "Where it was found.",
        "title": "What it is called.",
        "content": "Its text.",
    },
    "AnthropicToolUseBlock": {
        "type": "",
        "id": "As the assistant gave it; the result refers to it.",
        "name": "The tool.",
        "input": "What it was called with.",
    },
    "AnthropicToolResultBlock": {
        "type": "",
        "tool_use_id": "Which call this is the result of.",
        "content": "The result: a text, or blocks.",
        "is_error": "The tool has failed.",
    },
    "AnthropicThinkingBlock": {
        "type": "",
        "thinking": "What the model thought in an earlier turn.",
    },
    "AnthropicRedactedThinkingBlock": {"type": ""},
}

_PICTURE = {
    "prompt": "What the picture shows.",
    "n": "How many pictures, each a call of its own. All come, or none.",
    "size": "`WIDTHxHEIGHT` in pixels, or `auto`. What the model cannot do is refused with what "
    "it can.",
    "response_format": "`b64_json` unless told; `url`: for an hour, without a key.",
    "output_format": "As the model makes it unless told.",
    "output_compression": "With `jpeg` and `webp`: 0 to 100, the best.",
    "background": "Pictures are opaque: `transparent` is refused.",
    "steps": f"How often the picture is refined. {_ENGINES}",
    "num_steps": "Another name of `steps`.",
    "guidance": f"How closely the picture keeps to the prompt. {_ENGINES}",
    "seed": "The same seed gives the same picture. Counted up for `n` pictures.",
    "negative_prompt": f"What the picture does not show. {_ENGINES}",
    "quality": IGNORED,
    "stream": "Pictures come whole: false alone.",
    "partial_images": "Pictures come whole: 0 alone.",
}
_EDIT = {
    **_PICTURE,
    "strength": "Of inpainting models: how much of the marked part is made anew.",
    "input_fidelity": IGNORED,
}
_LABELS = {"top_k": "Answer with so many of the likeliest labels. All of them unless told."}
_SOUND_FORM = {
    "prompt": "Words that help to understand: names, terms. A hint: accepted, without effect where "
    "the model has no use for it.",
    "response_format": "`json`, `verbose_json` with times, plain `text`, or subtitles as `srt` "
    "or `vtt`.",
    "temperature": "A hint: accepted, and without effect; no model here has a use for it.",
}
_PROMPT = {
    "messages": "The conversation so far, the oldest message first.",
    "system": "What the model should heed throughout: a text, or text blocks.",
    "tools": "Functions of yours that the model may call.",
    "tool_choice": "Whether it calls one.",
    "thinking": "Whether the model thinks before it answers, and shows it.",
    "output_config": "How much effort, and which form.",
    "output_format": "The older place of `output_config.format`.",
    "cache_control": f"{IGNORED} Providers cache by themselves.",
    "context_management": IGNORED,
    "speed": IGNORED,
    "user_profile_id": IGNORED,
    "mcp_servers": "Cannot be had: empty alone.",
}
for _more, _names in (
    (_PICTURE | {"style": IGNORED, "moderation": IGNORED}, ["ImageGenerationParams"]),
    (_EDIT, ["ImageJsonEditParams", "ImageFormEditParams"]),
    (_LABELS, ["ImageJsonClassificationParams", "ImageFormClassificationParams"]),
    (_SOUND_FORM, ["TranscriptionParams", "TranscriptTranslationParams"]),
    (_PROMPT, ["AnthropicPromptParams", "AnthropicMessageParams"]),
):
    for _name in _names:
        BY_SCHEMA[_name] = _more | BY_SCHEMA[_name]

NOT_HERE = "Cannot be had here: null alone."


def describe(schemas: dict[str, Schema]) -> None:
    """Put the words into the schemas."""
    for name, own in BY_SCHEMA.items():
        for field, schema in schemas.get(name, {}).get("properties", {}).items():
            words = own.get(field, COMMON.get(field, ""))
            if schema.get("type") == "null":
                words = NOT_HERE
            if words:
                schema["description"] = words
