"""What Go writes for the same values (encoding/json with its defaults)."""

import json

from edge.core.go_json import dumps


def test_what_a_browser_could_take_for_html() -> None:
    assert dumps({"subject": "st.>", "to": "<&>"}) == rb'{"subject":"st.\u003e","to":"\u003c\u0026\u003e"}'
    assert dumps({"text": "a\u2028b\u2029"}) == rb'{"text":"a\u2028b\u2029"}'


def test_other_letters_stay_as_they_are() -> None:
    assert dumps({"name": "Zürich ☃"}) == '{"name":"Zürich ☃"}'.encode()
    assert dumps({"name": "half \ud83d"}) == b'{"name":"half ?"}'


def test_for_people() -> None:
    shown = dumps({"a": [1, "x>"]}, indent=2)
    assert shown == b'{\n  "a": [\n    1,\n    "x\\u003e"\n  ]\n}'
    assert json.loads(shown) == {"a": [1, "x>"]}
