"""Fixtures of the tests of `/auth/v1`."""

from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.edi_auth.forge import NOW


@pytest.fixture
def clock(time_machine: Any) -> Any:
    """A clock that stands still at `NOW` until a test moves it."""
    time_machine.move_to(NOW, tick=False)
    return time_machine


@pytest.fixture
def parse_xml() -> Any:
    """Reads a response that must be XML: `<result>` with one element per field."""

    def parse(response: Any) -> dict[str, str]:
        assert response["Content-Type"].split(";")[0] in {"application/xml", "text/xml"}
        result = ET.fromstring(response.content)  # noqa: S314 — our own answer
        assert result.tag == "result"
        return {element.tag: element.text or "" for element in result}

    return parse
