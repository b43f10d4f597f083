"""How `/auth/v1` speaks: `{"msg": "...", "method": "..."}` and more, as JSON, or as XML where Accept asks for it."""

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

from rest_framework.renderers import BaseRenderer
from rest_framework.response import Response
from rest_framework.views import APIView

from edi_auth.services import TokenPair
from tokens.core.http import Problem
from tokens.core.http import exception_handler as make_handler

# What XML 1.0 has no way to write (https://www.w3.org/TR/xml/#charsets).
NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class XMLRenderer(BaseRenderer):
    """`<result>` with one element per field."""

    media_type = "application/xml"
    format = "xml"
    charset = "utf-8"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        """`data`, a flat mapping, as an XML document."""
        if data is None:
            return b""
        result = ET.Element("result")
        for name, value in data.items():
            ET.SubElement(result, name).text = NOT_XML.sub("", str(value))
        document: bytes = ET.tostring(result, encoding="utf-8", xml_declaration=True)
        return document


class TextXMLRenderer(XMLRenderer):
    """The same under its older name."""

    media_type = "text/xml"


def answer(message: str, view: APIView, pair: TokenPair) -> Response:
    """The answer that carries a pair of tokens."""
    return Response({"msg": message, "pasta-token": pair.pasta, "edi-token": pair.edi, "method": _method(view)})


def done(message: str, view: APIView) -> Response:
    """The answer of a call that gives nothing back."""
    return Response({"msg": message, "method": _method(view)})


def error(problem: Problem, view: APIView) -> dict[str, Any]:
    """The body of everything that went wrong."""
    return {"msg": problem.message, "method": _method(view)}


def _method(view: APIView) -> str:
    return str(getattr(view, "method", "unknown"))


exception_handler = make_handler(error)
