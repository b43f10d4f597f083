"""GET /auth/v1/ping."""

import pytest

PING = "/auth/v1/ping"


def test_answers_pong(api):
    response = api.call("GET", PING)
    assert (response.status_code, response.content) == (200, b"pong")
    assert response["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize("accept", ["application/xml", "application/json", "image/png", "nonsense"])
def test_answers_pong_whatever_is_accepted(api, accept):
    assert api.call("GET", PING, headers={"Accept": accept}).content == b"pong"


def test_answers_head_without_a_body(api):
    response = api.call("HEAD", PING)
    assert (response.status_code, response.content) == (200, b"")


def test_stays_out_of_caches(api):
    assert api.call("GET", PING)["Cache-Control"] == "no-store"


@pytest.mark.parametrize("verb", ["POST", "PUT", "PATCH", "DELETE", "TRACE"])
def test_refuses_any_other_method_in_the_dialect(api, verb):
    response = api.call(verb, PING, {})
    assert response.status_code == 405
    assert response.json() == {"msg": f'Method "{verb}" not allowed.', "method": "ping"}
    assert "GET" in response["Allow"].split(", ")


@pytest.mark.django_db
def test_makes_no_query(api, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert api.call("GET", PING).status_code == 200
