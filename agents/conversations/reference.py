"""What the API's reference says of /v1/conversations."""

from agents.conversations.pages import MAX_PAGE_SIZE, PAGE_SIZE
from agents.conversations.params import (
    ConversationForkParams,
    ConversationItemsParams,
    ConversationParams,
    ConversationUpdateParams,
)
from agents.reference.answers import (
    Conversation,
    ConversationDeleted,
    ConversationItem,
    ConversationItemList,
)
from agents.reference.refusals import STORAGE_FULL
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
    MEDIA_TYPE,
    NO_SUCH_CONVERSATION,
    NO_SUCH_ITEM,
    TOO_LARGE,
    TOO_SLOW,
    UNKNOWN_PARAM,
    UNSUPPORTED_PARAM,
    WITH_SCOPE,
)

TAG = "Conversations"
ABOUT = "Histories that stay, as OpenAI's Conversations API has them."
_ROOT = "/v1/conversations"
_ONE = f"{_ROOT}/{{conversation_id}}"
_EXAMPLE = "conv_019aa3b2c4d57e8f9a0b1c2d3e4f5061"
_EXAMPLE_ITEM = "msg_019aa3b2c4d57e8f9a0b1c2d3e4f5062"
_ID = path_parameter("conversation_id", "The `id` of a conversation.", _EXAMPLE)
_ITEM_ID = path_parameter("item_id", "The `id` of an item.", _EXAMPLE_ITEM)
_WRITES = (INVALID, UNKNOWN_PARAM, MEDIA_TYPE, TOO_SLOW, TOO_LARGE)
_MESSAGE = {"type": "message", "role": "user", "content": "Hello!"}


OPERATIONS = (
    Operation(
        method="post",
        path=_ROOT,
        id="createConversation",
        tag=TAG,
        summary="Create a conversation",
        description="Needs a key with the scope `agents`, as all of these do.",
        bodies={JSON: Body(ConversationParams)},
        answers={JSON: Content((Conversation,))},
        refusals=(*_WRITES, UNSUPPORTED_PARAM, STORAGE_FULL, *WITH_SCOPE),
        examples=(
            Example(
                "With a first message",
                body={"items": [_MESSAGE], "metadata": {"topic": "demo"}},
                call="conversations.create",
            ),
        ),
    ),
    Operation(
        method="get",
        path=_ONE,
        id="getConversation",
        tag=TAG,
        summary="Look up a conversation",
        description="Without its items.",
        parameters=(_ID,),
        answers={JSON: Content((Conversation,))},
        refusals=(NO_SUCH_CONVERSATION, *WITH_SCOPE),
        examples=(Example("One", path=f"{_ROOT}/{_EXAMPLE}", call="conversations.retrieve"),),
    ),
    Operation(
        method="post",
        path=_ONE,
        id="updateConversation",
        tag=TAG,
        summary="Change a conversation's metadata",
        description="All of it is replaced.",
        parameters=(_ID,),
        bodies={JSON: Body(ConversationUpdateParams)},
        answers={JSON: Content((Conversation,))},
        refusals=(NO_SUCH_CONVERSATION, *_WRITES, *WITH_SCOPE),
        examples=(
            Example(
                "Another topic", body={"metadata": {"topic": "other"}}, path=f"{_ROOT}/{_EXAMPLE}"
            ),
        ),
    ),
    Operation(
        method="delete",
        path=_ONE,
        id="deleteConversation",
        tag=TAG,
        summary="Delete a conversation",
        description="With its items. Forks of it stay.",
        parameters=(_ID,),
        answers={JSON: Content((ConversationDeleted,))},
        refusals=(NO_SUCH_CONVERSATION, *WITH_SCOPE),
        examples=(Example("One", path=f"{_ROOT}/{_EXAMPLE}", call="conversations.delete"),),
    ),
    Operation(
        method="post",
        path=f"{_ONE}/fork",
        id="forkConversation",
        tag=TAG,
        summary="Fork a conversation",
        description="Another conversation that begins with copies of its items, all or up to one "
        "of them. A repeat makes one more.",
        parameters=(_ID,),
        bodies={JSON: Body(ConversationForkParams)},
        answers={JSON: Content((Conversation,))},
        refusals=(NO_SUCH_CONVERSATION, NO_SUCH_ITEM, STORAGE_FULL, *_WRITES, *WITH_SCOPE),
        examples=(Example("All of it", body={}, path=f"{_ROOT}/{_EXAMPLE}/fork"),),
    ),
    Operation(
        method="get",
        path=f"{_ONE}/items",
        id="listConversationItems",
        tag=TAG,
        summary="List a conversation's items",
        description="The newest first, unless asked otherwise. A page costs the same however long "
        "the conversation is.",
        parameters=(
            _ID,
            limit_parameter(PAGE_SIZE, MAX_PAGE_SIZE),
            query_parameter("order", "`desc` unless said.", {"enum": ["asc", "desc"]}),
            AFTER,
        ),
        answers={JSON: Content((ConversationItemList,))},
        refusals=(NO_SUCH_CONVERSATION, INVALID, *WITH_SCOPE),
        examples=(Example("From the beginning", path=f"{_ROOT}/{_EXAMPLE}/items?order=asc"),),
    ),
    Operation(
        method="post",
        path=f"{_ONE}/items",
        id="createConversationItems",
        tag=TAG,
        summary="Add items to a conversation",
        description="At its end, in their order, with nobody else's in between.",
        parameters=(_ID,),
        bodies={JSON: Body(ConversationItemsParams)},
        answers={JSON: Content((ConversationItemList,))},
        refusals=(NO_SUCH_CONVERSATION, *_WRITES, UNSUPPORTED_PARAM, STORAGE_FULL, *WITH_SCOPE),
        examples=(
            Example("A message", body={"items": [_MESSAGE]}, path=f"{_ROOT}/{_EXAMPLE}/items"),
        ),
    ),
    Operation(
        method="get",
        path=f"{_ONE}/items/{{item_id}}",
        id="getConversationItem",
        tag=TAG,
        summary="Look up an item",
        description="Whole.",
        parameters=(_ID, _ITEM_ID),
        answers={JSON: Content((ConversationItem,))},
        refusals=(NO_SUCH_CONVERSATION, NO_SUCH_ITEM, *WITH_SCOPE),
        examples=(Example("One", path=f"{_ROOT}/{_EXAMPLE}/items/{_EXAMPLE_ITEM}"),),
    ),
    Operation(
        method="delete",
        path=f"{_ONE}/items/{{item_id}}",
        id="deleteConversationItem",
        tag=TAG,
        summary="Delete an item",
        description="The others stay where they are. The answer is the conversation.",
        parameters=(_ID, _ITEM_ID),
        answers={JSON: Content((Conversation,))},
        refusals=(NO_SUCH_CONVERSATION, NO_SUCH_ITEM, *WITH_SCOPE),
        examples=(Example("One", path=f"{_ROOT}/{_EXAMPLE}/items/{_EXAMPLE_ITEM}"),),
    ),
)
TAGS = {TAG: ABOUT}
