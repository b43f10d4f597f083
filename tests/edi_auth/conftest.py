"""Fixtures of the tests of `/auth/v1`."""

from typing import Any
from xml.etree import ElementTree as ET

import pytest


@pytest.fixture
def parse_xml() -> Any:
    """Reads a response that must be XML: `<result>` with one element per field."""

    def parse(response: Any) -> dict[str, str]:
        assert response["Content-Type"].split(";")[0] in {"application/xml", "text/xml"}
        result = ET.fromstring(response.content)  # noqa: S314 — our own answer
        assert result.tag == "result"
        return {element.tag: element.text or "" for element in result}

    return parse
