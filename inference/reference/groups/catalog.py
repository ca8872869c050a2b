"""What can be called; and the document itself."""

from inference.reference.answers.anthropic import AnthropicModel, AnthropicModelList
from inference.reference.answers.catalog import Model, ModelList
from inference.reference.groups.common import JSON, path_parameter
from inference.reference.operation import Content, Example, Operation
from inference.reference.refusals import ANYBODY, NO_SUCH_MODEL, WITH_KEY

OPERATIONS = (
    Operation(
        method="get",
        path="/v1/models",
        id="listModels",
        tag="Models",
        summary="List the models",
        description="Every AI model that can be called, with its window, what it can do, and its "
        "prices; and the routes, which are names for several models.\n\n"
        "With the header `anthropic-version` the list is Anthropic's, of what messages can be "
        "sent to.",
        headers=("anthropic-version",),
        answers={JSON: Content((ModelList, AnthropicModelList))},
        refusals=WITH_KEY,
        dialect="both",
        examples=(
            Example(
                "All",
                call="models.list",
                python="for model in answer:\n    print(model.id)",
                javascript="for await (const model of answer) console.log(model.id);",
            ),
        ),
    ),
    Operation(
        method="get",
        path="/v1/models/{name}",
        id="getModel",
        tag="Models",
        summary="Look up a model",
        description="One model or route, by its id or by Cloudflare's.",
        parameters=(
            path_parameter(
                "name",
                "Our id, or Cloudflare's (`@cf/…`); its slashes may stand as they are.",
                "llama-3.3-70b-fast",
            ),
        ),
        headers=("anthropic-version",),
        answers={JSON: Content((Model, AnthropicModel))},
        refusals=(NO_SUCH_MODEL, *WITH_KEY),
        dialect="both",
        examples=(
            Example(
                "One",
                path="/v1/models/llama-3.3-70b-fast",
                call="models.retrieve",
                python="print(answer.id)",
                javascript="console.log(answer.id);",
            ),
        ),
    ),
    Operation(
        method="get",
        path="/v1/openapi.json",
        id="getOpenApiDocument",
        tag="Models",
        summary="Read this document",
        description="This API as an OpenAPI document.",
        answers={JSON: Content(when="An OpenAPI 3.1 document.")},
        refusals=ANYBODY,
        is_public=True,
        examples=(Example("The document", path="/v1/openapi.json"),),
    ),
)
