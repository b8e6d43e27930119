"""The limits of interactive messages: buttons, lists, links, products.

Where Meta's pages disagree (the body of a list, 4096 or 1024), the page for developers is followed.
Source: developers.facebook.com, WhatsApp Cloud API, interactive messages.
"""

from collections.abc import Callable, Mapping

from cluster.sandbox.fields import Fields, all_different, list_in, object_in, optional_text_in, text_in
from cluster.sandbox.graph_errors import invalid

_ACTION = "interactive['action']"
_MEDIA_HEADERS = frozenset({"image", "video", "document"})
_MAX_ROWS = 10
_MAX_PRODUCTS = 30


def check_interactive(interactive: Fields) -> None:
    """Refuse an interactive object that Meta would refuse.

    Raises:
        GraphError: 131008 or 131009, naming the field.
    """
    kind = text_in(interactive, "type", "interactive['type']", most=64)
    check = _CHECKS.get(kind)
    if check is None:
        raise invalid(f"Param interactive['type'] must be one of {{{', '.join(sorted(_CHECKS))}}} - got \"{kind}\".")
    if kind != "product":
        body = object_in(interactive, "body", "interactive['body']")
        text_in(body, "text", "interactive['body']['text']", most=4096 if kind == "list" else 1024)
    elif interactive.get("header") is not None:
        raise invalid("Param interactive['header'] is not allowed for type product.")
    if interactive.get("footer") is not None:
        footer = object_in(interactive, "footer", "interactive['footer']")
        text_in(footer, "text", "interactive['footer']['text']", most=60)
    _check_header(interactive, kind)
    check(object_in(interactive, "action", _ACTION))


def _check_header(interactive: Fields, kind: str) -> None:
    if interactive.get("header") is None and kind != "product_list":
        return
    header = object_in(interactive, "header", "interactive['header']")
    header_kind = text_in(header, "type", "interactive['header']['type']", most=16)
    if header_kind == "text":
        text_in(header, "text", "interactive['header']['text']", most=60)
    elif header_kind in _MEDIA_HEADERS and kind not in {"list", "product_list"}:
        object_in(header, header_kind, f"interactive['header']['{header_kind}']")
    else:
        raise invalid(f"Param interactive['header']['type'] \"{header_kind}\" is not allowed for type {kind}.")


def _check_buttons(action: Fields) -> None:
    buttons = list_in(action, "buttons", f"{_ACTION}['buttons']", least=1, most=3, what="buttons")
    ids, titles = [], []
    for button in buttons:
        if button.get("type") != "reply":
            raise invalid("Button type must be reply.")
        reply = object_in(button, "reply", "button['reply']")
        identity = text_in(reply, "id", "button['reply']['id']", most=256)
        if identity != identity.strip():
            raise invalid("Button id cannot have leading or trailing spaces.")
        ids.append(identity)
        titles.append(text_in(reply, "title", "button['reply']['title']", most=20))
    all_different(ids, "button id")
    all_different(titles, "button title")


def _check_list(action: Fields) -> None:
    text_in(action, "button", f"{_ACTION}['button']", most=20)
    sections = list_in(action, "sections", f"{_ACTION}['sections']", least=1, most=10, what="sections")
    ids: list[str] = []
    for section in sections:
        _check_section_title(section, alone=len(sections) == 1)
        for row in list_in(section, "rows", "section['rows']", least=1, most=_MAX_ROWS, what="rows"):
            ids.append(text_in(row, "id", "row['id']", most=200))
            text_in(row, "title", "row['title']", most=24)
            optional_text_in(row, "description", "row['description']", most=72)
    if len(ids) > _MAX_ROWS:
        raise invalid(f"Total row count exceed max allowed count: {_MAX_ROWS}")
    all_different(ids, "row id")


def _check_section_title(section: Fields, *, alone: bool) -> None:
    if alone:
        optional_text_in(section, "title", "section['title']", most=24)
    else:
        text_in(section, "title", "section['title']", most=24)


def _check_link(action: Fields) -> None:
    _check_name(action, "cta_url")
    parameters = object_in(action, "parameters", f"{_ACTION}['parameters']")
    text_in(parameters, "display_text", f"{_ACTION}['parameters']['display_text']", most=20)
    url = text_in(parameters, "url", f"{_ACTION}['parameters']['url']", most=2000)
    if not url.startswith(("https://", "http://")):
        raise invalid(f"Param {_ACTION}['parameters']['url'] must be a valid URL.")


def _check_product(action: Fields) -> None:
    text_in(action, "catalog_id", f"{_ACTION}['catalog_id']", most=64)
    text_in(action, "product_retailer_id", f"{_ACTION}['product_retailer_id']", most=100)


def _check_product_list(action: Fields) -> None:
    text_in(action, "catalog_id", f"{_ACTION}['catalog_id']", most=64)
    sections = list_in(action, "sections", f"{_ACTION}['sections']", least=1, most=10, what="sections")
    products = 0
    for section in sections:
        _check_section_title(section, alone=len(sections) == 1)
        items = list_in(section, "product_items", "section['product_items']", least=1, most=30, what="product items")
        for item in items:
            text_in(item, "product_retailer_id", "item['product_retailer_id']", most=100)
        products += len(items)
    if products > _MAX_PRODUCTS:
        raise invalid(f"Total product count exceed max allowed count: {_MAX_PRODUCTS}")


def _check_catalog(action: Fields) -> None:
    _check_name(action, "catalog_message")


def _check_location_request(action: Fields) -> None:
    _check_name(action, "send_location")


def _check_flow(action: Fields) -> None:
    _check_name(action, "flow")
    object_in(action, "parameters", f"{_ACTION}['parameters']")


def _check_name(action: Fields, name: str) -> None:
    if text_in(action, "name", f"{_ACTION}['name']", most=64) != name:
        raise invalid(f"Param {_ACTION}['name'] must be {name}.")


_CHECKS: Mapping[str, Callable[[Fields], None]] = {
    "button": _check_buttons,
    "catalog_message": _check_catalog,
    "cta_url": _check_link,
    "flow": _check_flow,
    "list": _check_list,
    "location_request_message": _check_location_request,
    "product": _check_product,
    "product_list": _check_product_list,
}
