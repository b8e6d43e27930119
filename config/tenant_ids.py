"""A setting that names tenants."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator


def _ids(value: Any) -> Any:
    named = tuple(value.replace(",", " ").split()) if isinstance(value, str) else value
    if wrong := [one for one in named if re.fullmatch(r"[0-9a-f]{32}", one) is None]:
        raise ValueError(f"must be tenants' ids, 32 lower-case hexadecimal digits each, with commas, not {wrong[0]}")
    return named


TenantIds = Annotated[tuple[str, ...], BeforeValidator(_ids)]
