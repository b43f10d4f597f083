"""How much is missing of a request that is arriving (RFC 9112): framing alone, gunicorn reads what it says."""

import re
from dataclasses import dataclass

from django.conf import settings

# Chunks have sizes and line ends of their own besides what is in them.
MAX_CHUNKED_BYTES = 2 * settings.MAX_BODY_BYTES

FRAMING = re.compile(rb"\r\n(content-length|transfer-encoding|expect):[ \t]*([^\r\n]*)")
LENGTH = re.compile(rb"0*([0-9]{1,9})[ \t]*")
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]+)[ \t]*(?:;[^\r\n]*)?")


@dataclass
class Walk:
    """Where in a chunked body the first chunk begins that is not whole, and how many bytes are in those before it."""

    at: int = 0
    length: int = 0


def missing(data: bytes, walk: Walk | None = None) -> int:
    """How many bytes at the least are missing at the end of `data`, which begins with a request, to make that whole.

    None are missing in what will be refused anyway. Whoever asks again when more of the same request is there hands
    over the same `walk`, so that no chunk is looked at twice.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return 1
    fields = dict(FRAMING.findall(data[:end].lower()))
    if not fields or (b"expect" in fields and fields[b"expect"].rstrip() != b"100-continue"):
        return 0
    here = len(data) - end - 4
    if (coding := fields.get(b"transfer-encoding")) is not None:
        is_refused = here >= MAX_CHUNKED_BYTES or not coding.rstrip().endswith(b"chunked")
        walk = walk or Walk()
        walk.at = walk.at or end + 4
        return 0 if is_refused else missing_of_chunks(data, walk)
    match = LENGTH.fullmatch(fields.get(b"content-length", b""))
    length = int(match[1]) if match else 0
    return max(0, length - here) if length <= settings.MAX_BODY_BYTES else 0


def missing_of_chunks(data: bytes, walk: Walk) -> int:
    """How many bytes at the least are missing at the end of `data` to make the chunks from `walk` on whole.

    Goes by the sizes of the chunks (RFC 9112, section 7.1), to the first byte that makes the body too large.
    """
    while (line := data.find(b"\r\n", walk.at)) >= 0:
        match = CHUNK_SIZE.fullmatch(data, walk.at, line)
        if not match:
            return 0
        size, begin = int(match[1], 16), line + 2
        if not size:
            return int(not data.startswith(b"\r\n", begin) and data.find(b"\r\n\r\n", begin) < 0)
        room = settings.MAX_BODY_BYTES - walk.length
        if size > room:
            return max(0, begin + room + 1 - len(data))
        end = begin + size + 2
        if end > len(data):
            return end - len(data)
        walk.at, walk.length = end, walk.length + size
    return 1
