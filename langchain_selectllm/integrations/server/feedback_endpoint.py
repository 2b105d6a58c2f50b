"""POST /v1/selectllm/feedback."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from langchain_selectllm.exceptions import StoreError
from langchain_selectllm.integrations.server.answers import JsonResponse
from langchain_selectllm.integrations.server.chat_body import parse_body
from langchain_selectllm.integrations.server.errors import ApiError
from langchain_selectllm.integrations.server.limits import read_body
from langchain_selectllm.integrations.server.state import state_of


class FeedbackBody(BaseModel):
    """A score of a final answer."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    id: Annotated[str, Field(min_length=1, max_length=128)]
    """Id of the decision: `selectllm.decision_id` of the reply, or its header `x-selectllm-decision-id`."""
    score: Annotated[float, Field(ge=0, le=1)]


async def feedback(request: Request) -> Response:
    """The score that each member gets from a score of the final answer."""
    state = state_of(request)
    body = parse_body(await read_body(request, state.settings.max_body_bytes), FeedbackBody)
    if not state.feedback_books:
        message = "This server keeps no decisions. Start it with --store or --feedback-log to send feedback."
        raise ApiError(status=409, message=message, code="no_store")
    scores = None
    try:
        for book in state.feedback_books:
            given = await book.feedback(body.id, body.score)
            if given is not None:
                scores = given
    except (StoreError, OSError) as error:
        raise ApiError(status=503, message="The store cannot be written.", code="store_failed") from error
    if scores is None:
        message = f"There is no decision {body.id!r}."
        raise ApiError(status=404, message=message, param="id", code="decision_not_found")
    return JsonResponse({"object": "selectllm.feedback", "id": body.id, "scores": scores})
