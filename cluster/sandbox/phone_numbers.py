"""The business phone numbers that exist, and the access tokens that may use them.

SpazaError
    NumbersFileError: the file of the registered numbers cannot be read
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from cluster.sandbox.graph_errors import invalid_token, no_such_object
from cluster.sandbox.validation import digits_of
from kernel.errors import SpazaError

Digits = Annotated[str, Field(pattern=r"^\d{1,32}$")]
FILE_NAME = "sandbox-numbers.json"


class NumbersFileError(SpazaError):
    """The file of the registered numbers cannot be read."""

    code = "sandbox_numbers_file"

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"{self.path} cannot be read; remove it, and register the numbers again"


class PhoneNumber(BaseModel):
    """One business number as it is registered."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    phone_number_id: Digits
    display_phone_number: Annotated[str, Field(min_length=1, max_length=32)]
    access_token: Annotated[str, Field(min_length=1, max_length=512, repr=False)]
    waba_id: Digits

    @property
    def digits(self) -> str:
        """The number's digits, or nothing where it is none."""
        return digits_of(self.display_phone_number) or ""


DEMO_NUMBER = PhoneNumber(
    phone_number_id="100000000000001",
    display_phone_number="+27110000001",
    access_token="sandbox-access-token",  # noqa: S106 - the demo's secrets are public
    waba_id="200000000000001",
)


class PhoneNumbers:
    """All numbers. A token may be good for several; a number has one."""

    def __init__(self, limit: int, numbers: Iterable[PhoneNumber] = ()) -> None:
        self._limit = limit
        self._by_id: dict[str, PhoneNumber] = {}
        self._tokens: Counter[str] = Counter()
        for number in numbers:
            self.register(number)

    def register(self, number: PhoneNumber) -> bool:
        """Add a number, or give it another token. False when there is no room for one more."""
        before = self._by_id.get(number.phone_number_id)
        if before is None and len(self._by_id) >= self._limit:
            return False
        if before is not None:
            self._tokens -= Counter([before.access_token])
        self._tokens[number.access_token] += 1
        self._by_id[number.phone_number_id] = number
        return True

    def find(self, phone_number_id: str) -> PhoneNumber | None:
        """The number, whoever asks."""
        return self._by_id.get(phone_number_id)

    def authorise(self, phone_number_id: str, token: str | None, method: str = "POST") -> PhoneNumber:
        """The number, if the token may use it.

        Raises:
            GraphError: 190 for a token that nobody was given; 100 with subcode 33 for a number that is not the token's.
        """
        number = self._by_id.get(phone_number_id)
        if number is not None and token == number.access_token:
            return number
        if token is None or token not in self._tokens:
            raise invalid_token()
        raise no_such_object(phone_number_id, method)

    def all(self) -> list[PhoneNumber]:
        """Every number, in the order of registration."""
        return list(self._by_id.values())


def read_numbers(data_dir: Path) -> list[PhoneNumber]:
    """The numbers that an earlier run was told of.

    Raises:
        NumbersFileError: there is a file, and it cannot be read.
    """
    path = data_dir / FILE_NAME
    if not path.exists():
        return []
    try:
        return TypeAdapter(list[PhoneNumber]).validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        raise NumbersFileError(str(path)) from error


def write_numbers(data_dir: Path, numbers: list[PhoneNumber]) -> None:
    """Keep the numbers; whole or not at all, readable by their owner alone."""
    path = data_dir / FILE_NAME
    fresh = path.with_suffix(".fresh")
    fresh.touch(mode=0o600)
    fresh.write_bytes(orjson.dumps([number.model_dump() for number in numbers]))
    fresh.replace(path)
