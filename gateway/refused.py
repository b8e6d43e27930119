"""The one shape of refusals, as it is documented."""

from pydantic import BaseModel, ConfigDict, Field


class FieldFault(BaseModel):
    """What is wrong with one field, and the remedy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: str = Field(examples=["price.amount"])
    message: str = Field(examples=["must be a whole number"])


class Refused(BaseModel):
    """Why a request was not carried out.

    Attributes:
        message: for whoever called.
        request_id: under which it stands in the logs; that of ``X-Correlation-ID``.
        errors: where fields are the reason, each of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    message: str = Field(examples=["request body doesn't conform to schema"])
    request_id: str = Field(examples=["01a206e71a8876c38ef13d4c866fa497"])
    errors: list[FieldFault] = Field(default_factory=list)
