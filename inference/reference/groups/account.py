"""API keys for programs that manage them, and what a workspace has, holds and has used."""

from billing.account.records import FORMATS
from billing.account.records import MAX_PAGE_SIZE as MAX_RECORDS
from billing.account.records import PAGE_SIZE as RECORDS
from billing.account.views import GROUPS, WIDTHS
from billing.keys.params import CreateKeyParams, RotateKeyParams, UpdateKeyParams
from billing.keys.views import MAX_PAGE_SIZE, PAGE_SIZE
from billing.usage.models import Status
from inference.reference.answers.account import (
    ApiKey,
    ApiKeyList,
    Balance,
    DeletedApiKey,
    HoldList,
    NewApiKey,
    UsageBuckets,
    UsageRecord,
    UsageRecordList,
)
from inference.reference.groups.common import (
    AFTER,
    JSON,
    limit_parameter,
    path_parameter,
    query_parameter,
)
from inference.reference.operation import Body, Content, Example, Operation
from inference.reference.refusals import (
    INVALID,
    KEY_ENDED,
    MEDIA_TYPE,
    NO_SUCH_KEY,
    NO_SUCH_RECORD,
    TOO_LARGE,
    TOO_SLOW,
    UNKNOWN_PARAM,
    WITH_SCOPE,
)

_ID = path_parameter(
    "key_id", "The `id` of an API key, the 8 characters that end its prefix.", "k3yId123"
)
_WRITES = (INVALID, UNKNOWN_PARAM, MEDIA_TYPE, TOO_SLOW, TOO_LARGE)
_MOMENT = {"type": "integer", "minimum": 0, "maximum": 9_999_999_999}


_FILTERS = (
    query_parameter("start_time", "Seconds since 1970: calls that started then or later.", _MOMENT),
    query_parameter("end_time", "Seconds since 1970: calls that started before.", _MOMENT),
    query_parameter("api_key_id", "Calls of this key.", {"type": "string"}),
    query_parameter("model", "Calls that this model answered.", {"type": "string"}),
    query_parameter("endpoint", "As `chat/completions`.", {"type": "string"}),
    query_parameter("status", "How they ended.", {"enum": list(Status.values)}),
    query_parameter("min_cost", "Dollars that they cost at least, as `0.05`.", {"type": "string"}),
)
_KEYS = (
    Operation(
        method="post",
        path="/v1/keys",
        id="createApiKey",
        tag="API keys",
        summary="Create an API key",
        description="Needs a key with the scope `admin`, as all of these do. The new key is shown "
        "once, so a repeat with an `Idempotency-Key` is not kept.",
        bodies={JSON: Body(CreateKeyParams)},
        answers={JSON: Content((NewApiKey,))},
        refusals=(*_WRITES, *WITH_SCOPE),
        success="201",
        examples=(
            Example(
                "With limits and budgets",
                body={
                    "name": "batch jobs",
                    "models": ["gpt-oss-20b"],
                    "limits": {"requests_per_minute": 60},
                    "budgets": {"day": "1.50", "month": "20"},
                    "expires_at": "2099-12-31T23:59:59Z",
                },
            ),
        ),
    ),
    Operation(
        method="get",
        path="/v1/keys",
        id="listApiKeys",
        tag="API keys",
        summary="List the API keys",
        description="The newest first, revoked ones too.",
        parameters=(
            limit_parameter(PAGE_SIZE, MAX_PAGE_SIZE),
            AFTER,
        ),
        answers={JSON: Content((ApiKeyList,))},
        refusals=(INVALID, *WITH_SCOPE),
        examples=(Example("All"),),
    ),
    Operation(
        method="get",
        path="/v1/keys/{key_id}",
        id="getApiKey",
        tag="API keys",
        summary="Look up an API key",
        description="What it may do, and what it has spent; never the key itself.",
        parameters=(_ID,),
        answers={JSON: Content((ApiKey,))},
        refusals=(NO_SUCH_KEY, *WITH_SCOPE),
        examples=(Example("One", path="/v1/keys/k3yId123"),),
    ),
    Operation(
        method="post",
        path="/v1/keys/{key_id}",
        id="updateApiKey",
        tag="API keys",
        summary="Change an API key",
        description="In force within a second.",
        parameters=(_ID,),
        bodies={JSON: Body(UpdateKeyParams)},
        answers={JSON: Content((ApiKey,))},
        refusals=(NO_SUCH_KEY, KEY_ENDED, *_WRITES, *WITH_SCOPE),
        examples=(
            Example("Another budget", body={"budgets": {"day": "3"}}, path="/v1/keys/k3yId123"),
        ),
    ),
    Operation(
        method="post",
        path="/v1/keys/{key_id}/rotate",
        id="rotateApiKey",
        tag="API keys",
        summary="Rotate an API key",
        description="Makes a key that takes its place: with its settings, its limits and what is "
        "left of its budgets, which the two share while both work.",
        parameters=(_ID,),
        bodies={JSON: Body(RotateKeyParams)},
        answers={JSON: Content((NewApiKey,))},
        refusals=(NO_SUCH_KEY, KEY_ENDED, *_WRITES, *WITH_SCOPE),
        success="201",
        examples=(
            Example("An hour for both", body={"overlap_s": 3600}, path="/v1/keys/k3yId123/rotate"),
        ),
    ),
    Operation(
        method="delete",
        path="/v1/keys/{key_id}",
        id="deleteApiKey",
        tag="API keys",
        summary="Revoke an API key",
        description="It works no more within a second. A repeat changes nothing.",
        parameters=(_ID,),
        answers={JSON: Content((DeletedApiKey,))},
        refusals=(NO_SUCH_KEY, *WITH_SCOPE),
        examples=(Example("One", path="/v1/keys/k3yId123"),),
    ),
)
_ACCOUNT = (
    Operation(
        method="get",
        path="/v1/balance",
        id="getBalance",
        tag="Account",
        summary="Read the balance",
        description="Needs a key with the scope `usage`, as all of these do.",
        answers={JSON: Content((Balance,))},
        refusals=WITH_SCOPE,
        examples=(Example("Now"),),
    ),
    Operation(
        method="get",
        path="/v1/holds",
        id="listHolds",
        tag="Account",
        summary="List what is held",
        description="The credit that running calls have reserved, the oldest first.",
        answers={JSON: Content((HoldList,))},
        refusals=WITH_SCOPE,
        examples=(Example("Now"),),
    ),
    Operation(
        method="get",
        path="/v1/usage",
        id="listUsage",
        tag="Account",
        summary="Sum up usage",
        description="By hour or day (UTC), of all calls or by model and API key. Hours and days "
        "without a call are left out; a call arrives within some seconds of its end.",
        parameters=(
            query_parameter("bucket_width", "`1d` unless said.", {"enum": list(WIDTHS)}),
            query_parameter(
                "start_time",
                "Seconds since 1970; at most 366 days (31 for `1h`) before `end_time`.",
                _MOMENT,
            ),
            query_parameter("end_time", "Seconds since 1970; now unless said.", _MOMENT),
            {
                **query_parameter(
                    "group_by",
                    "What each bucket is divided by.",
                    {"type": "array", "items": {"enum": list(GROUPS)}},
                ),
                "explode": False,
            },
        ),
        answers={JSON: Content((UsageBuckets,))},
        refusals=(INVALID, *WITH_SCOPE),
        examples=(Example("By model", path="/v1/usage?group_by=model"),),
    ),
    Operation(
        method="get",
        path="/v1/usage/records",
        id="listUsageRecords",
        tag="Account",
        summary="List calls",
        description="The newest first, by when their requests arrived. However many there are, a "
        "page takes some milliseconds: where few of many calls match, it may have fewer than "
        "`limit` while `has_more` is true. Go on with `last_id` as `after`.",
        parameters=(
            limit_parameter(RECORDS, MAX_RECORDS),
            AFTER,
            *_FILTERS,
        ),
        answers={JSON: Content((UsageRecordList,))},
        refusals=(INVALID, *WITH_SCOPE),
        examples=(Example("What failed", path="/v1/usage/records?status=upstream_failed"),),
    ),
    Operation(
        method="get",
        path="/v1/usage/records/{request_id}",
        id="getUsageRecord",
        tag="Account",
        summary="Look up a call",
        description="By the `x-request-id` of its answer.",
        parameters=(
            path_parameter(
                "request_id",
                "The `x-request-id` of the answer.",
                "req_019aa3b2c4d57e8f9a0b1c2d3e4f5061",
            ),
        ),
        answers={JSON: Content((UsageRecord,))},
        refusals=(NO_SUCH_RECORD, *WITH_SCOPE),
        examples=(Example("One", path="/v1/usage/records/req_019aa3b2c4d57e8f9a0b1c2d3e4f5061"),),
    ),
    Operation(
        method="get",
        path="/v1/usage/export",
        id="exportUsage",
        tag="Account",
        summary="Export calls",
        description="All calls that match, the oldest first, streamed: a table with a line of "
        "headings, or one JSON object a line with the fields of a usage record. A connection that "
        "breaks means that the file is not complete.",
        parameters=(
            query_parameter("format", "`csv` unless said.", {"enum": list(FORMATS)}),
            *_FILTERS,
        ),
        answers={
            "text/csv": Content(is_text=True, when="`format` is `csv`"),
            "application/jsonl": Content(is_text=True, when="`format` is `jsonl`"),
        },
        refusals=(INVALID, *WITH_SCOPE),
        examples=(Example("Of a key", path="/v1/usage/export?api_key_id=k3yId123"),),
    ),
)
OPERATIONS = (*_KEYS, *_ACCOUNT)
