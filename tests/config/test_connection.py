"""What is kept of an answer for a client; what comes of it on the wire is in `tests/faults/test_slow_readers.py`."""

import io
import socket
import ssl
import threading
from concurrent.futures import Future
from contextlib import ExitStack, closing
from types import SimpleNamespace

import pytest
from gunicorn.config import Config

from config import connection
from config.connection import (
    MAX_BRIEF_BYTES,
    MAX_HEAD_BYTES,
    MAX_UNSENT_BYTES,
    TLS_SECONDS,
    Client,
    Connection,
    TLSClient,
    brief_below,
)
from config.worker import MAX_UNTAKEN_BYTES

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
REFRESH = b"POST /auth/v1/token/refresh HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def pair():
    """The server's end of a connection, and the client's."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    with closing(theirs), closing(Client(ours)) as client:
        yield client, theirs


def received(theirs):
    """All that has arrived."""
    pieces = []
    try:
        while piece := theirs.recv(65536):
            pieces.append(piece)
    except BlockingIOError:
        pass
    return b"".join(pieces)


def test_sends_the_head_with_what_comes_after_it(pair):
    client, theirs = pair
    client.sendall(HEAD)
    assert received(theirs) == b""
    client.sendall(b"body")
    assert received(theirs) == HEAD + b"body"
    client.sendall(b"more")
    assert received(theirs) == b"more"


def test_sends_a_head_alone_at_the_end_of_the_answer(pair):
    client, theirs = pair
    for _ in range(2):
        client.sendall(HEAD)
        assert client.unsent
        client.end_answer()
        assert received(theirs) == HEAD
        assert not client.unsent


def test_keeps_what_the_client_does_not_take(pair):
    client, theirs = pair
    body = bytes(range(256)) * 8192
    client.sendall(HEAD)
    client.sendall(body)
    client.end_answer()
    assert client.unsent
    taken = b""
    while client.unsent:
        taken += received(theirs)
        client.push()
    assert taken + received(theirs) == HEAD + body


def test_gives_up_on_a_client_that_takes_nothing_of_too_much(pair, monkeypatch):
    client, _ = pair
    monkeypatch.setattr(connection, "ROOM_SECONDS", 0.01)
    client.sendall(HEAD)
    with pytest.raises(ConnectionResetError, match="does not read"):
        client.sendall(bytes(2 * MAX_UNSENT_BYTES))


def test_waits_for_a_client_that_takes_too_much_a_little_later(pair):
    client, theirs = pair
    body, taken = bytes(range(256)) * (MAX_UNSENT_BYTES // 64), []
    theirs.settimeout(5)

    def take():
        while sum(map(len, taken)) < len(HEAD + body) - MAX_UNSENT_BYTES:
            taken.append(theirs.recv(65536))

    reader = threading.Timer(0.1, take)
    reader.start()
    client.sendall(HEAD)
    client.sendall(body)
    reader.join()
    theirs.setblocking(False)
    while client.unsent:
        taken.append(received(theirs))
        client.push()
    assert b"".join(taken) + received(theirs) == HEAD + body


def test_sends_the_part_of_a_file_that_is_asked_for(pair):
    client, theirs = pair
    client.sendall(HEAD)
    assert client.sendfile(io.BytesIO(b"0123456789"), offset=2, count=3) == 3
    assert client.sendfile(io.BytesIO(b"0123456789"), offset=8) == 2
    assert received(theirs) == HEAD + b"23489"


def test_tells_of_a_client_that_has_gone_only_while_an_answer_is_sent(pair):
    client, theirs = pair
    theirs.close()
    client.sendall(HEAD)
    with pytest.raises(BrokenPipeError):
        client.sendall(b"body")
    client.end_answer()


def test_keeps_nothing_for_a_client_that_it_has_left(pair):
    client, _ = pair
    client.sendall(HEAD)
    client.close()
    assert client.unsent == 0


@pytest.mark.parametrize(
    ("data", "is_brief"),
    [
        (REFRESH, True),
        (REFRESH.replace(b"/auth", b"/admin/auth"), False),
        (REFRESH.replace(b"refresh ", b"refresh?a=/b "), True),
        (REFRESH.replace(b"POST", b"GET"), False),
        (REFRESH.replace(b"refresh", b"refreshed"), False),
        (REFRESH.replace(b"/auth", b"/_/token?name=/auth"), False),
        (b"GET / HTTP/1.1\r\nX: POST /auth/v1/token/refresh \r\n\r\n", False),
        (REFRESH[:-2] + b"X: %s\r\n\r\n" % (b"x" * MAX_BRIEF_BYTES), False),
        (REFRESH[:-2], False),
    ],
    ids=["refresh", "prefix", "query", "method", "path", "in a query", "in a header", "large", "not whole"],
)
def test_knows_the_requests_that_wait_for_nothing(pair, data, is_brief):
    client, theirs = pair
    conn = Connection(None, SimpleNamespace(), client, "", "")
    theirs.send(data)
    conn.missing()
    assert conn.is_brief is is_brief


def test_waits_on_when_the_kernel_tells_of_less_than_it_was_asked_to_wait_for(pair):
    """It has no room for many small pieces, and is relieved of what there is."""
    client, theirs = pair
    conn, whole = (
        Connection(None, Config(), client, ("127.0.0.1", 1), ""),
        REFRESH[:-2] + b"Content-Length: 9\r\n\r\n{}",
    )
    for begin in range(0, len(whole), 10):
        theirs.send(whole[begin : begin + 10])
        conn.missing()
        conn.mark += 5
        assert conn.missing() > 0
    assert conn.missing() == 7
    theirs.send(b"1234567")
    assert conn.missing() == 0
    assert next(conn.parser).body.read() == b"{}1234567"


def test_takes_no_longer_head_than_any_for_one_that_comes_in_small_pieces(pair):
    client, theirs = pair
    conn = Connection(None, Config(), client, ("127.0.0.1", 1), "")
    for number in range(MAX_HEAD_BYTES // 1024):
        assert not conn.is_too_long, number
        theirs.send(b"x" * 1024)
        conn.missing()
        conn.mark += 5
    assert conn.is_too_long


@pytest.fixture
def conn(pair):
    """A connection of which nothing was read."""
    return Connection(None, Config(), pair[0], "", "")


@pytest.mark.parametrize(
    "data",
    [
        POST.replace(b"5", b"65536") + b"x" * 65536,
        POST.replace(b"Host: x", b"X: %s" % (b"x" * 5000)) + b"12345",
        CHUNKED + b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n",
    ],
    ids=["body", "head", "chunks"],
)
def test_looks_at_all_of_a_request(pair, conn, data):
    _, theirs = pair
    theirs.send(data[:-1])
    assert conn.missing() == 1
    assert conn.mark == len(data)
    theirs.send(data[-1:])
    assert conn.missing() == 0


def test_looks_at_what_was_read_with_the_request_before(pair, conn):
    _, theirs = pair
    conn.parser = SimpleNamespace(unreader=SimpleNamespace(buf=io.BytesIO(POST)))
    assert (conn.missing(), conn.mark) == (5, 5)
    theirs.send(b"1234")
    conn.mark = 1
    assert (conn.missing(), conn.mark) == (1, 5)
    theirs.send(b"5")
    assert conn.missing() == 0


@pytest.mark.parametrize("sent", [b"", GET[:5], POST, CHUNKED + b"5\r\n12"], ids=["nothing", "head", "body", "chunk"])
def test_waits_for_nothing_of_a_client_that_has_hung_up(pair, conn, sent):
    _, theirs = pair
    theirs.send(sent)
    assert conn.missing() > 0
    theirs.shutdown(socket.SHUT_WR)
    if sent:
        assert conn.missing() > 0  # what there is, is taken
    assert (conn.missing(), conn.is_brief) == (0, False)


def test_waits_for_nothing_of_a_client_that_has_gone(pair, conn):
    client, theirs = pair
    client.send(b"what nobody reads")
    theirs.close()
    assert conn.missing() == 0


def test_sends_what_there_is_of_an_answer(pair, conn):
    client, theirs = pair
    client.sendall(HEAD)
    assert conn.unsent == len(HEAD)
    conn.end_answer()
    assert (conn.unsent, received(theirs)) == (0, HEAD)


def test_leaves_it_to_tls_to_send_an_answer(conn):
    with closing(socket.socket()) as conn.sock:
        conn.end_answer()
        assert conn.unsent == 0


@pytest.mark.parametrize(
    ("change", "seconds"),
    [
        (lambda client: client.setblocking(True), TLS_SECONDS),
        (lambda client: client.settimeout(None), TLS_SECONDS),
        (lambda client: client.settimeout(2), 2),
        (lambda client: client.setblocking(False), 0),
    ],
    ids=["blocking", "no timeout", "a timeout", "not blocking"],
)
def test_waits_for_no_client_of_tls_for_ever(change, seconds):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslsocket_class = TLSClient
    with closing(context.wrap_socket(socket.socket(), server_side=True)) as client:
        assert client.gettimeout() == TLS_SECONDS
        change(client)
        assert client.gettimeout() == seconds


def test_takes_a_client_that_hangs_up_after_a_refresh_for_no_other(pair, conn):
    client, theirs = pair
    theirs.send(REFRESH)
    conn.missing()
    client.recv(1024)
    theirs.shutdown(socket.SHUT_WR)
    assert (conn.missing(), conn.is_brief) == (0, False)


EXPECTING = POST.replace(b"Host: x", b"Host: x\r\nExpect: 100-continue")


def test_asks_once_for_the_body_of_who_waits_to_be_asked(pair, conn):
    _, theirs = pair
    head = EXPECTING.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked")
    theirs.send(head[:-2])
    conn.missing()
    assert received(theirs) == b""
    missing = []
    for more in (head[-2:], b"5\r\n", b"12345\r\n", b"0\r\n\r\n"):
        theirs.send(more)
        missing.append(conn.missing())
    assert missing == [1, 7, 1, 0]
    assert received(theirs) == b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize(
    "data",
    [POST, EXPECTING.replace(b"/1.1", b"/1.0"), EXPECTING.replace(b"5", b"65537"), EXPECTING + b"12345"],
    ids=["who does not wait", "of an older HTTP", "that is refused", "that is there"],
)
def test_asks_for_no_other_body(pair, conn, data):
    _, theirs = pair
    theirs.send(data)
    conn.missing()
    assert received(theirs) == b""


def test_knows_them_below_a_prefix():
    assert brief_below("/registry").match(REFRESH.replace(b"/auth", b"/registry/auth"))
    assert not brief_below("/registry").match(REFRESH)


def test_cuts_off_who_has_taken_longest_when_too_much_is_kept(unstarted):
    unstarted.nr_conns = 7
    pairs, conns = [socket.socketpair() for _ in range(7)], []
    for ours, theirs in pairs:
        theirs.setblocking(False)
        client = Client(ours)
        client.sendall(bytes(MAX_UNTAKEN_BYTES // 5))
        conns.append(Connection(unstarted, SimpleNamespace(), client, "", ""))
        unstarted.finish_request(conns[-1], Future())
    first = conns[0]
    assert len(unstarted._departing) == len(unstarted.poller.get_map()) == unstarted.nr_conns == 5
    assert [is_closed(theirs) for _, theirs in pairs] == [True, True] + [False] * 5
    unstarted._on_room(first, first.sock)  # what the kernel told of it a moment before
    assert unstarted.nr_conns == 5
    for conn in list(unstarted._departing):
        conn.close()
    for _, theirs in pairs:
        theirs.close()


def test_lets_go_of_who_has_sent_longest_at_the_address_with_most_when_too_many_wait(unstarted, monkeypatch):
    monkeypatch.setattr("config.worker.MAX_WAITING", 3)
    unstarted.nr_conns = 5
    addresses = ["192.0.2.1", "192.0.2.2", "192.0.2.2", "192.0.2.1", "192.0.2.2"]
    clients, conns = [], []
    for number, address in enumerate(addresses):
        ours, theirs = socket.socketpair()
        conns.append(Connection(unstarted, SimpleNamespace(), Client(ours), (address, number), ""))
        clients.append(theirs)
        if number == 1:
            conns[-1].sock.sendall(bytes(MAX_UNTAKEN_BYTES // 5))
            unstarted.finish_request(conns[-1], Future())
        else:
            theirs.send(b"GET / HT")
            unstarted.enqueue_req(conns[-1])
    assert (list(unstarted._departing), list(unstarted._arriving), unstarted.nr_conns) == ([conns[1]], conns[3:], 3)
    assert [client.recv(1024)[:12] for client in (clients[0], clients[2])] == [b"HTTP/1.1 408"] * 2
    unstarted._on_more(conns[0], conns[0].sock)  # what the kernel told of it a moment before
    for one in [*conns, *clients]:
        one.close()


def test_takes_many_addresses_of_one_network_for_one_client_when_too_many_wait(unstarted, monkeypatch):
    """Those of an IPv6 /64, which one client commands."""
    monkeypatch.setattr("config.worker.MAX_WAITING", 3)
    with ExitStack() as stack:
        conns = []
        for address in ("192.0.2.1", "2001:db8::1", "2001:db8::2", "2001:db8::3%eth0", "2001:db8::4"):
            ours, theirs = socket.socketpair()
            stack.enter_context(closing(theirs)).send(b"GET / HT")
            conns.append(Connection(unstarted, SimpleNamespace(), Client(ours), (address, 1, 0, 0), ""))
            stack.enter_context(closing(conns[-1]))
            unstarted.enqueue_req(conns[-1])
        assert list(unstarted._arriving) == [conns[0], *conns[3:]]


def is_closed(theirs):
    """Whether the server has hung up."""
    try:
        return theirs.recv(1) == b""
    except BlockingIOError:
        return False
