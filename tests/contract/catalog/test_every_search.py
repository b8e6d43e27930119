"""What every product search answers: that in memory, that on the shards, and those that come."""

from itertools import product as product_of
from typing import Any

import pytest

from services.catalog.errors import ForeignCursorError
from services.catalog.ports import Around, Question, Shelf
from services.catalog.schemas import Money, ProductLocation, ProductSpec
from tests.contract.catalog.conftest import HOME, Shop

NEAR_KM = 111.2
"""Of one degree of latitude."""


def product(sku: str, name: str, description: str = "", **more: Any) -> ProductSpec:
    return ProductSpec(sku=sku, name=name, description=description, price=Money(amount=1999), **more)


def at(north_km: float) -> ProductLocation:
    """A place so far north of the shop."""
    return ProductLocation(lat=HOME[0] + north_km / NEAR_KM, lon=HOME[1])


async def asked(shop: Shop, shelf: Shelf, text: str | None = None, **more: Any) -> list[str]:
    page = await shop.search.search(shelf, Question(text, **more), timeout_s=60)
    return [one.sku for one in page.products]


async def shelf_of(shop: Shop, *products: ProductSpec) -> Shelf:
    shelf = await shop.open()
    await shop.put(shelf, products)
    return shelf


async def test_without_a_question_all_products_come_by_sku(shop: Shop) -> None:
    shelf = await shelf_of(shop, product("c", "C"), product("B", "B"), product("a", "A"), product("a-1", "A1"))

    assert await asked(shop, shelf) == ["B", "a", "a-1", "c"]


async def test_a_name_counts_more_than_a_description_and_a_word_more_than_its_beginning(shop: Shop) -> None:
    shelf = await shelf_of(
        shop,
        product("1-told-begun", "Rusks", "made of buttermilk and milkwheat"),
        product("2-told", "Biscuits", "with milk"),
        product("3-begun", "Milkshake"),
        product("4-named", "Full cream milk 2 L"),
        product("5-other", "Bread"),
    )

    assert await asked(shop, shelf, "milk") == ["4-named", "3-begun", "2-told", "1-told-begun"]


async def test_every_word_has_to_be_met(shop: Shop) -> None:
    shelf = await shelf_of(shop, product("white", "White bread 700 g"), product("brown", "Brown bread 700 g", "white?"))

    assert await asked(shop, shelf, "bread white") == ["white", "brown"]
    assert await asked(shop, shelf, "bread white rye") == []


@pytest.mark.parametrize(
    "text", ["café", "CAFE", "cafe\u0301", "crème cafe", "balls cafe", "Ball's", "5 kg", "5kg", "700g"]
)
async def test_case_accents_apostrophes_and_how_a_quantity_is_written_do_not_matter(shop: Shop, text: str) -> None:
    shelf = await shelf_of(
        shop, product("found", "Café Creme, Ball\u2019s 5kg, 700 g"), product("not", "50 kgs 7000 G")
    )

    assert await asked(shop, shelf, text) == ["found"]


@pytest.mark.parametrize("text", ["mlik", "milc", "mil k", "mik", "milkk", "choclate", "chokolate milk", "full craem"])
async def test_a_word_that_is_nearly_right_finds_where_nothing_else_does(shop: Shop, text: str) -> None:
    shelf = await shelf_of(shop, product("found", "Full cream chocolate milk"), product("not", "Maize meal", "pap"))

    assert await asked(shop, shelf, text) in (["found"], [] if text == "mil k" else ["found"])


@pytest.mark.parametrize("text", ["xyzzy", "50", "bd", "mi zzzzz", "!!!", "\u200b", "  "])
async def test_what_is_like_no_word_finds_nothing(shop: Shop, text: str) -> None:
    shelf = await shelf_of(shop, product("bread", "Bread 500 g"), product("milk", "Milk"))

    assert await asked(shop, shelf, text) == []


@pytest.mark.parametrize(
    "text", ["' | 'b", "bread:*", "bread & !milk", "(((", "\\", "bread <-> milk", "'", "a" * 200, "é" * 199 + "!"]
)
async def test_nothing_in_a_text_is_an_operator(shop: Shop, text: str) -> None:
    shelf = await shelf_of(shop, product("bread", "Bread"), product("x", "Nothing of it"))

    assert await asked(shop, shelf, text) in ([], ["bread"])


async def test_around_a_place_the_nearest_come_first_and_what_is_further_does_not(shop: Shop) -> None:
    shelf = await shelf_of(
        shop,
        product("far", "Bread", location=at(10.1)),
        product("edge", "Bread", location=at(9.9)),
        product("home", "Bread"),
        product("near", "Bread", location=at(3)),
    )

    page = await shop.search.search(shelf, Question(around=Around(*HOME, 10.0)), timeout_s=60)

    assert [one.sku for one in page.products] == ["home", "near", "edge"]
    assert [one.distance_km for one in page.products] == [0.0, pytest.approx(3, 0.01), pytest.approx(9.9, 0.01)]
    assert [one.location for one in page.products] == [None, at(3), at(9.9)]
    assert await asked(shop, shelf, around=Around(HOME[0], HOME[1], 10.2)) == ["home", "near", "edge", "far"]
    assert await asked(shop, shelf, around=Around(0, 0, 10)) == []


async def test_a_mistyped_word_is_found_among_more_words_than_are_looked_at(shop: Shop) -> None:
    others = ["".join(letters) for letters in product_of("abcdefg", repeat=4)]
    shelf = await shelf_of(
        shop,
        *(product(f"p-{n}", "Others", " ".join(others[n * 100 : n * 100 + 100])) for n in range(24)),
        product("wanted", "Zebra"),
    )

    assert await asked(shop, shelf, "zebar") == ["wanted"]


async def test_text_and_place_are_both_held_to_and_of_equals_the_nearest_comes_first(shop: Shop) -> None:
    shelf = await shelf_of(
        shop,
        product("a-far", "Milk", location=at(30)),
        product("b-middle", "Milk", location=at(5)),
        product("c-told", "Tea", "with milk"),
        product("d-home", "Milk"),
        product("e-bread", "Bread"),
    )

    assert await asked(shop, shelf, "milk", around=Around(*HOME, 10.0)) == ["d-home", "b-middle", "c-told"]


async def test_without_a_place_no_product_has_a_distance(shop: Shop) -> None:
    shelf = await shelf_of(shop, product("home", "Milk"), product("far", "Milk", location=at(30)))

    for question in (Question(), Question("milk"), Question("mlik")):
        page = await shop.search.search(shelf, question, timeout_s=60)
        assert [(one.sku, one.distance_km) for one in page.products] == [("far", None), ("home", None)]


@pytest.mark.parametrize(("lat", "lon"), [(90, 0), (-90, 180), (0, 180), (0, -180)])
async def test_poles_and_the_date_line_are_places(shop: Shop, lat: float, lon: float) -> None:
    there = ProductLocation(lat=lat, lon=-lon)
    shelf = await shelf_of(shop, product("there", "Ice", location=there))

    page = await shop.search.search(shelf, Question(around=Around(lat, lon, 1)), timeout_s=60)

    assert [one.distance_km for one in page.products] == [0.0]


QUESTIONS = [
    Question(limit=3),
    Question("bread", limit=3),
    Question("brezd", limit=3),
    Question(around=Around(*HOME, 50), limit=3),
    Question("bread", Around(*HOME, 50), 3),
]


@pytest.mark.parametrize("question", QUESTIONS, ids=str)
async def test_pages_hold_each_product_once_whatever_is_written_between_them(shop: Shop, question: Question) -> None:
    names = ["Bread", "Breadcrumbs", "Toast"]
    shelf = await shelf_of(
        shop,
        *(product(f"p-{n:02}", names[n % 3], "for bread", location=at(n % 4) if n % 2 else None) for n in range(20)),
    )
    seen: list[str] = []

    cursor, pages = None, 0
    while pages == 0 or cursor is not None:
        page = await shop.search.search(shelf, question._replace(cursor=cursor), timeout_s=60)
        seen += [one.sku for one in page.products]
        cursor, pages = page.next_cursor, pages + 1
        if pages == 2:
            await shop.put(shelf, [product("p-00-new", "Bread", "brezd"), product("z-new", "Toast", "for bread")])
            await shop.remove(shelf, seen[-1])
            await shop.remove(shelf, seen[0])

    olds = [sku for sku in seen if not sku.endswith("new")]
    assert sorted(olds) == [f"p-{n:02}" for n in range(20)]
    assert len(set(seen)) == len(seen)
    assert pages == 7


async def test_a_cursor_is_of_its_question_alone(shop: Shop) -> None:
    shelf = await shelf_of(shop, *(product(f"p-{n}", "Bread") for n in range(3)))
    cursors = {
        question: (await shop.search.search(shelf, question, timeout_s=60)).next_cursor
        for question in (one._replace(limit=1) for one in QUESTIONS)
    }
    assert None not in cursors.values()

    for question in cursors:
        for cursor in [*(one for other, one in cursors.items() if other != question), "", "x", "e30", "a" * 4000]:
            with pytest.raises(ForeignCursorError):
                await shop.search.search(shelf, question._replace(cursor=cursor), timeout_s=60)


async def test_a_merchant_finds_nothing_of_anothers_even_with_his_cursor(shop: Shop) -> None:
    mine = await shelf_of(shop, *(product(f"mine-{n}", "Bread") for n in range(3)))
    theirs = await shelf_of(shop, *(product(f"theirs-{n}", "Bread") for n in range(3)))
    question = Question("bread", limit=1)

    cursor = (await shop.search.search(mine, question, timeout_s=60)).next_cursor

    assert await asked(shop, theirs, "bread") == ["theirs-0", "theirs-1", "theirs-2"]
    assert await asked(shop, theirs, "bread", limit=1, cursor=cursor) == ["theirs-0"]


async def test_a_product_that_changes_is_found_by_what_it_is_now(shop: Shop) -> None:
    shelf = await shelf_of(shop, product("p", "White bread"))

    await shop.put(shelf, [product("p", "Brown rusks")])

    assert await asked(shop, shelf, "white") == []
    assert await asked(shop, shelf, "rusks") == ["p"]


async def test_a_product_is_answered_as_it_was_given(shop: Shop) -> None:
    given = product(
        "p", "Sour worms 🐛 'n \"stuff\" \\ \u202e", "line\nline", stock=0, category="sweets", location=at(1),
        image_url="https://example.com/p.png",
    )  # fmt: skip
    shelf = await shelf_of(shop, given, product("q", "Q", stock=None))

    page = await shop.search.search(shelf, Question(), timeout_s=60)

    assert page.products[0].model_dump(exclude={"distance_km"}) == given.model_dump()
    assert (page.products[1].stock, page.products[1].location, page.products[1].distance_km) == (None, None, None)
