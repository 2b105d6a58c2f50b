"""Tools and schemas that members call and fill in."""

from typing import Annotated

from langchain_core.tools import tool
from pydantic import BaseModel, Field
from typing_extensions import TypedDict


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Sum(BaseModel):
    """A sum."""

    total: int


class City(BaseModel):
    """A city."""

    name: str = Field(description="name of the city")
    millions: float
    country: str = "unknown"


class CityDict(TypedDict):
    """A city."""

    name: Annotated[str, ..., "name of the city"]
    millions: float
    country: str
