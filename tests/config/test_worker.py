"""What is missing of a request; what comes of it on the wire is in `tests/faults/test_load.py`."""

import pytest

from config.worker import MAX_HEAD_BYTES, missing

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("size", range(len(GET)))
def test_misses_the_rest_of_a_head(size):
    assert missing(GET[:size]) == 1


@pytest.mark.parametrize(
    ("data", "number"),
    [
        (GET, 0),
        (GET + GET, 0),
        (GET + GET[:5], 0),
        (POST, 5),
        (POST + b"1234", 1),
        (POST + b"12345", 0),
        (POST + b"12345" + GET, 0),
        (POST.replace(b"Content-Length: 5", b"content-length:\t5 "), 5),
        (POST.replace(b"Content-Length: 5", b"X-Content-Length: 5"), 0),
        (POST.replace(b"Content-Length: 5", b"Content-Length: five"), 0),
        (POST.replace(b"5", b"65536"), 65536),
        (CHUNKED, 1),
        (CHUNKED + b"5\r\n12345\r\n", 1),
        (CHUNKED + b"5\r\n12345\r\n0\r\n", 1),
        (CHUNKED + b"5\r\n12345\r\n0\r\n\r\n", 0),
        (CHUNKED + b"0\r\n\r\n" + GET, 0),
        (CHUNKED + b"5;a=b\r\n12345\r\n00;a=b\r\nTrailer: x\r\n\r\n", 0),
    ],
)
def test_misses_the_rest_of_a_body(data, number):
    assert missing(data) == number


@pytest.mark.parametrize(
    "data",
    [
        b"x" * MAX_HEAD_BYTES,
        POST.replace(b"5", b"65537"),
        POST.replace(b"5", b"9" * 30),
        CHUNKED + b"x" * 65536,
        POST.replace(b"Host: x", b"Expect: 100-continue"),
    ],
    ids=["head", "body", "length", "chunks", "100-continue"],
)
def test_waits_for_nothing_that_is_refused_or_not_sent_unasked(data):
    assert missing(data) == 0
