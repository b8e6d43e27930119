"""Errors cross processes by pickle: each of ours has to arrive as it left, and each has its code and status."""

import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from kernel.errors import SpazaError

PACKAGES = ("actors", "cache", "cluster", "config", "gateway", "integrations", "kernel", "services", "telemetry")
SAMPLES: dict[Any, Any] = {Path: Path("folder"), str: "text", int: 7, float: 1.5, bool: True, bytes: b"bytes"}


def every_exception() -> list[type[Exception]]:
    """All that our packages define, those for their own use too: a Ray call may carry any of them."""
    for package in PACKAGES:
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    found: set[type[Exception]] = set()
    waiting: list[type[Exception]] = [Exception]
    while waiting:
        error = waiting.pop()
        found.add(error)
        waiting += [one for one in error.__subclasses__() if one not in found]
    ours = [one for one in found if one.__module__.partition(".")[0] in PACKAGES]
    return sorted(ours, key=lambda one: f"{one.__module__}.{one.__qualname__}")


def sample(annotation: Any) -> Any:
    if getattr(annotation, "__origin__", None) in {tuple, Sequence}:
        return ()
    for kind, value in SAMPLES.items():
        if annotation is kind or kind in getattr(annotation, "__args__", ()):
            return value
    raise AssertionError(f"no sample for {annotation}: errors carry plain values")


def constructed(error: type[Exception]) -> Exception:
    if error.__init__ is Exception.__init__:
        return error("text")
    hints = get_type_hints(error.__init__)
    names = [name for name in inspect.signature(error.__init__).parameters if name != "self"]
    return error(*(sample(hints[name]) for name in names))


@pytest.mark.parametrize("error", every_exception(), ids=lambda one: f"{one.__module__}.{one.__qualname__}")
def test_an_error_survives_pickling_with_its_text_and_fields(error: type[Exception]) -> None:
    made = constructed(error)

    arrived = pickle.loads(pickle.dumps(made))

    assert type(arrived) is error
    assert str(arrived) == str(made)
    assert vars(arrived) == vars(made)


def test_each_error_has_a_code_of_its_own_and_ends_in_error() -> None:
    errors = [one for one in every_exception() if issubclass(one, SpazaError) and one is not SpazaError]

    codes = [one.code for one in errors if "code" in vars(one)]
    assert len(codes) == len(set(codes))
    assert all(one.__name__.endswith("Error") for one in errors)
    assert all(400 <= one.http_status <= 599 for one in errors)
