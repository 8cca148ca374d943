"""Query parameters as values."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin

import msgspec
from starlette.datastructures import QueryParams

from tokentape.core.errors import BadRequest

Q = TypeVar("Q", bound=msgspec.Struct)

_MAX_ECHO: Final = 200
"""Characters of a refusal that may come from the query."""


def read_query(params: QueryParams, kind: type[Q]) -> Q:
    """Reads the parameters that `kind` has, each as its type; others are passed over. Raises `BadRequest`."""
    given = {
        name: params.getlist(name) if is_list else params[name]
        for name, is_list in _parameters(kind).items()
        if name in params
    }
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        where = f"`{path.rstrip('`')}`: " if path else ""
        raise BadRequest(f"The query is wrong: {where}{message[:_MAX_ECHO]}.") from None


@cache
def _parameters(kind: type[msgspec.Struct]) -> dict[str, bool]:
    """The parameters that `kind` has, and whether each may come more than once.

    Asking the type takes a third of the time that answering a request does.
    """
    return {field.encode_name: _is_list(field.type) for field in msgspec.structs.fields(kind)}


def _is_list(kind: Any) -> bool:
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return get_origin(kind) is list
