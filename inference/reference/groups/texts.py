"""Embeddings, moderations, ranking, translations and labels of texts."""

from inference.classifications.params import ClassificationParams
from inference.embeddings.params import EmbeddingParams
from inference.moderations.params import ModerationParams
from inference.reference.answers.texts import (
    ClassificationList,
    EmbeddingList,
    Moderation,
    RerankList,
    Summary,
    TranslationList,
)
from inference.reference.groups.common import JSON, calls_a_model
from inference.reference.operation import Body, Content, Example
from inference.reference.refusals import CALLS_A_MODEL, CHATS, TEXT_LENGTH
from inference.rerank.params import RerankParams
from inference.summaries.params import SummaryParams
from inference.translations.params import TranslationParams

OPERATIONS = (
    calls_a_model(
        path="/v1/embeddings",
        id="createEmbedding",
        tag="Text",
        summary="Create embeddings",
        description="A vector for each text: similar texts have similar vectors. Up to 2048 "
        "texts, or token arrays of OpenAI's tokenizers.",
        bodies={JSON: Body(EmbeddingParams)},
        refusals=(*CALLS_A_MODEL, TEXT_LENGTH),
        answers={JSON: Content((EmbeddingList,))},
        examples=(
            Example(
                "Two texts",
                {"model": "bge-m3", "input": ["cheap flights", "tax law"]},
                call="embeddings.create",
                python="print(len(answer.data[0].embedding))",
                javascript="console.log(answer.data[0].embedding.length);",
            ),
        ),
    ),
    calls_a_model(
        path="/v1/moderations",
        id="createModeration",
        tag="Text",
        summary="Moderate texts",
        description="Whether texts are harmful, and how. OpenAI's names of models are taken, and "
        "Llama Guard answers in their place.",
        bodies={JSON: Body(ModerationParams)},
        answers={JSON: Content((Moderation,))},
        examples=(
            Example(
                "A text",
                {"input": "How do I bake bread?"},
                call="moderations.create",
                python="print(answer.results[0].flagged)",
                javascript="console.log(answer.results[0].flagged);",
            ),
        ),
    ),
    calls_a_model(
        path="/v1/rerank",
        id="createRerank",
        tag="Text",
        summary="Rank documents",
        description="Documents in the order of their relevance to a query, in the shape that "
        "Jina, Cohere and vLLM share.",
        bodies={JSON: Body(RerankParams)},
        answers={JSON: Content((RerankList,))},
        examples=(
            Example(
                "Three documents",
                {
                    "model": "bge-reranker",
                    "query": "cheap flights",
                    "documents": ["tax law", "flights for little money", "airline fares"],
                    "top_n": 2,
                    "return_documents": True,
                },
            ),
        ),
    ),
    calls_a_model(
        path="/v1/translations",
        id="createTextTranslation",
        tag="Text",
        summary="Translate texts",
        description="Texts from one language into another, one answer for each.",
        bodies={JSON: Body(TranslationParams)},
        answers={JSON: Content((TranslationList,))},
        examples=(
            Example(
                "Into French",
                {
                    "model": "m2m100",
                    "input": ["Good morning", "Thank you"],
                    "source_language": "en",
                    "target_language": "fr",
                },
            ),
        ),
    ),
    calls_a_model(
        path="/v1/summaries",
        id="createSummary",
        tag="Text",
        summary="Summarise a text",
        description="A text in short, by any chat model.",
        bodies={JSON: Body(SummaryParams)},
        answers={JSON: Content((Summary,))},
        refusals=CHATS,
        examples=(
            Example(
                "In bullet points",
                {
                    "model": "llama-3.3-70b-fast",
                    "input": "The harbour was closed on Monday because of the storm. It opened "
                    "again on Tuesday, but two ships were still waiting outside.",
                    "format": "bullets",
                },
            ),
        ),
    ),
    calls_a_model(
        path="/v1/classifications",
        id="createTextClassification",
        tag="Text",
        summary="Label texts",
        description="Labels for texts, each with a score.",
        bodies={JSON: Body(ClassificationParams)},
        answers={JSON: Content((ClassificationList,))},
        examples=(
            Example("A review", {"model": "distilbert-sst2", "input": "A wonderful evening!"}),
        ),
    ),
)
