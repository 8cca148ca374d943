import pytest
import time_machine
from upstreams import KEY

from tokentape.providers.failures import Failures, complaint_of, read_complaint, retry_after
from tokentape.providers.secret import Redactor, Secret

FAILURES = Failures("groq", Redactor([Secret(KEY)]))


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (302, "provider_refused", False),
        (400, "provider_refused", False),
        (401, "provider_refused", False),
        (403, "provider_refused", False),
        (404, "provider_refused", False),
        (408, "provider_timeout", True),
        (413, "provider_refused", False),
        (422, "provider_refused", False),
        (429, "provider_rate_limited", True),
        (500, "provider_overloaded", True),
        (502, "provider_unreachable", True),
        (503, "provider_overloaded", True),
        (504, "provider_unreachable", True),
        (529, "provider_overloaded", True),
        (204, "provider_protocol", False),
    ],
)
def test_a_status_says_whether_to_try_again(status, code, retryable):
    error = FAILURES.refused(status, {}, b"")
    assert (error.subcode, error.can_retry) == (code, retryable)
    assert error.message.startswith("groq ")
    assert str(status) in error.message


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":{"message":"Try less.","type":"x","code":null}}',
        b'{"type":"error","error":{"type":"x","message":"Try less."}}',
        b'{"error":"Try less."}',
        b'{"object":"error","message":"Try less.","code":400}',
        b'{"detail":"Try less."}',
    ],
)
def test_the_providers_own_words_are_passed_on(body):
    assert FAILURES.refused(400, {}, body).message == "groq refused the request (HTTP 400): Try less."


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[1]", b'"x"', b"\xff\xfe", b'{"error":7}', b'{"error":{"message":7}}', b"[" * 100_000],
)
def test_what_is_no_complaint_is_left_out(body):
    assert FAILURES.refused(400, {}, body).message == "groq refused the request (HTTP 400)"


def test_a_key_in_a_complaint_is_hidden():
    error = FAILURES.refused(401, {}, f'{{"error":{{"message":"wrong key {KEY}"}}}}'.encode())
    assert KEY not in str(error.as_dict())
    assert "wrong key" in error.message


def test_no_waiting_helps_an_account_without_money():
    error = FAILURES.refused(
        429,
        {"Retry-After": "1"},
        b'{"error":{"message":"Pay.","type":"insufficient_quota","code":"insufficient_quota"}}',
    )
    assert (error.subcode, error.can_retry, error.retry_after) == ("provider_rate_limited", False, None)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, "provider_overloaded"),
        ({"type": "rate_limit_error"}, "provider_rate_limited"),
        ({"type": "invalid_request_error"}, "provider_refused"),
        ({"type": "server_error"}, "provider_overloaded"),
        ({"code": 429}, "provider_rate_limited"),
        ({"code": "400"}, "provider_refused"),
        ({"code": 502, "message": "x"}, "provider_overloaded"),
        ("something", "provider_overloaded"),
        (7, "provider_overloaded"),
    ],
)
def test_an_error_in_the_stream_is_read_by_its_type_or_its_number(error, code):
    assert FAILURES.in_band(error).subcode == code


def test_a_document_is_an_error_or_not_what_was_asked_for():
    assert FAILURES.document(b'{"error":{"message":"Busy.","type":"server_error"}}').message.endswith("Busy.")
    for body in (b'{"choices":[]}', b"{", b"[]"):
        assert FAILURES.document(body).subcode == "provider_protocol"


NOON = "Thu, 01 Jan 2026 12:00:00 GMT"
LATER = "Thu, 01 Jan 2026 12:00:30 GMT"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After-Ms": "250", "Retry-After": "7"}, 0.25),
        ({"Retry-After": LATER, "Date": NOON}, 30),
        ({"Retry-After": NOON, "Date": LATER}, 0),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "9" * 400}, None),
        ({"Retry-After": "Thu, 99 Jan 2026 12:00:00 GMT"}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_by_the_providers_clock(headers, expected):
    with time_machine.travel(0):
        assert retry_after(headers) == expected


def test_without_the_providers_clock_ours_must_do():
    with time_machine.travel("2026-01-01 12:00:10Z", tick=False):
        assert retry_after({"Retry-After": LATER}) == 20


def test_complaints_have_three_parts():
    assert complaint_of({"message": "m", "type": "t", "code": 5}) == ("m", "t", "5")
    assert read_complaint('{"error":{"message":"m","type":null,"code":null}}') == ("m", "", "")
