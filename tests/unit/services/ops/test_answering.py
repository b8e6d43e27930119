"""Which applications do not answer, over doubles of them."""

import asyncio

import pytest

from services.ops.answering import Pings

# Of what hangs; what answers does so at once.
LIMIT_S = 0.05


class Application:
    """Answers, until it is to hang or to raise."""

    def __init__(self) -> None:
        self.hangs = self.raises = False
        self.asked = self.left = 0

    async def ping(self) -> None:
        self.asked += 1
        if self.raises:
            raise ConnectionResetError
        try:
            while self.hangs:
                await asyncio.Event().wait()
        finally:
            self.left += 1


@pytest.fixture
def products() -> Application:
    return Application()


@pytest.fixture
def pings(products: Application) -> Pings:
    return Pings({"webhook": Application().ping, "products": products.ping}, limit_s=LIMIT_S)


async def test_all_that_answer_are_well(pings: Pings) -> None:
    assert await pings.silent() == []


@pytest.mark.parametrize("fault", ["hangs", "raises"])
async def test_one_that_answers_no_more_is_named_and_once_it_answers_again_it_is_well(
    pings: Pings, products: Application, fault: str
) -> None:
    await pings.silent()
    setattr(products, fault, True)
    silent = await pings.silent()
    setattr(products, fault, False)

    assert (silent, await pings.silent()) == (["products"], [])


async def test_one_that_has_never_answered_is_not_missed(pings: Pings, products: Application) -> None:
    products.hangs = True

    assert await pings.silent() == []


async def test_no_question_is_left_behind(pings: Pings, products: Application) -> None:
    products.hangs = True
    for _ in range(3):
        await pings.silent()

    assert (products.asked, products.left) == (3, 3)
