"""Secrets go, whatever is near them; what only looks like one stays."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.semconv.attributes.client_attributes import CLIENT_ADDRESS

from otel_setup.catalogue import build
from otel_setup.privacy import DEFAULT_EXEMPT, DEFAULT_KEYS, DEFAULT_PATTERNS, REDACTED, Redaction, Rule

SECRETS = [
    ("email", "ada@mail.example.org"),
    ("email", "first.last+tag@sub.domain.co"),
    ("email", "jörg@müller.de"),
    ("ip", "203.0.113.7"),
    ("ip", "255.255.255.255"),
    ("ip", "2001:db8::8a2e:370:7334"),
    ("ip", "2001:0db8:85a3:0000:0000:8a2e:0370:7334"),
    ("token", "Bearer abcDEF123456.~+/="),
    ("token", "Basic dXNlcjpwYXNzd29yZA=="),
    ("token", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"),
    ("token", "access_token=s3cr3t"),
    ("token", 'password": "hunter2'),
    ("card", "4111 1111 1111 1111"),
    ("card", "4111-1111-1111-1111"),
    ("card", "378282246310005"),
    ("card", "5555555555554444"),
]
HARMLESS = [
    "1.2.3",
    "v1.2.3.4",
    "opentelemetry-sdk 1.45.2",
    "550e8400-e29b-41d4-a716-446655440000",
    "12345678-1234-1234-1234-123456789012",
    "0af7651916cd43dd8448eb211c80319c",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "0b6a5f0e-0a51-4b57-9d0e-4f1a2b3c4d5e-9f8e7d6c-42",
    "12:34:56",
    "2024-11-23T12:34:56.123456+00:00",
    "1732375653123456789",
    "4111111111111112",
    "127.0.0.1:4318",
    "0.0.0.0",  # noqa: S104
    "x[::2]",
    "std::vector",
    "react@18.2.0",
    "@pytest.fixture",
    "the bearer of bad news",
    "basic training done",
    "token: expected ')'",
    "p_0123456789abcdef",
    "00:1a:2b:3c:4d:5e",
    "token=[redacted]",
    "1.2.3.4.5",
    "256.1.1.1",
]


@pytest.fixture
def redaction() -> Redaction:
    return Redaction()


@pytest.mark.parametrize(("reason", "secret"), SECRETS)
def test_secrets_are_taken_out_of_any_text_and_counted(redaction: Redaction, reason: str, secret: str) -> None:
    for before, after in (("", ""), ("from ", " today"), ('("', '")'), ("x, ", ".")):
        made = redaction.text(f"{before}{secret}{after}")
        assert secret not in made
        assert REDACTED in made
        assert made.startswith(before)
    assert redaction.counts[reason] == 4
    assert sum(redaction.counts.values()) == 4


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_a_secret_stays(redaction: Redaction, text: str) -> None:
    assert redaction.text(text) == text
    assert redaction.text(f"so {text}, it says") == f"so {text}, it says"
    assert not any(redaction.counts.values())


def test_a_password_in_a_url_goes_and_the_host_stays(redaction: Redaction) -> None:
    assert redaction.text("to https://joe:s3cret@proxy.example:8080/x") == f"to https://{REDACTED}@proxy.example:8080/x"


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "user.password",
        "dbPassword",
        "http.request.header.authorization",
        "Set-Cookie",
        "x-api-key",
        "APIKey",
        "apiKey",
        "client_ip",
        "net.peer.ip",
        "email",
        "contactEmail",
        "auth_token",
        "access_token_value",
        "card-number",
    ],
)
def test_keys_that_tell_of_a_secret_hide_it(redaction: Redaction, key: str) -> None:
    assert redaction.is_secret(key)
    assert redaction.attributes({key: "anything", "next": 1}) == {key: REDACTED, "next": 1}
    assert redaction.attributes({"a": [{key: ["x", {"y": 1}]}]}) == {"a": [{key: REDACTED}]}
    assert redaction.counts["key"] == 2


@pytest.mark.parametrize(
    "key",
    [
        *("recipient_count", "broadcast.recipient_count", "zip", "description", "tokens", "tokenizer", "emailed"),
        *("tip", "secretary", "phonetic", "ship.id", "ip6tables", "passwordless", "cookies_enabled"),
    ],
)
def test_keys_that_only_contain_such_a_word_hide_nothing(redaction: Redaction, key: str) -> None:
    assert not redaction.is_secret(key)
    assert redaction.attributes({key: "3 of 4"}) == {key: "3 of 4"}


def test_counts_and_flags_under_telling_keys_stay_and_numbers_that_are_secrets_go(redaction: Redaction) -> None:
    kept = {"token_count": 5, "email_sent": True, "password": None}
    assert redaction.attributes(kept) == kept
    assert redaction.attributes({"cvv": 123, "user.phone_number": 5551234}) == {
        "cvv": REDACTED,
        "user.phone_number": REDACTED,
    }


def test_nothing_of_the_catalogue_is_a_secret_but_the_clients_address(redaction: Redaction) -> None:
    secrets = {one.name for one in build().attributes() if redaction.is_secret(one.name)}
    secrets |= {one.name for one in build().attributes() if redaction.is_secret(one.data_key)}
    assert secrets <= {CLIENT_ADDRESS}
    asked_for = Redaction(exempt=DEFAULT_EXEMPT | {CLIENT_ADDRESS})
    assert asked_for.attributes({CLIENT_ADDRESS: "203.0.113.7"}) == {CLIENT_ADDRESS: "203.0.113.7"}


def test_the_servers_own_addresses_stay(redaction: Redaction) -> None:
    resource = {"host.ip": ["203.0.113.7"], "server.address": "203.0.113.7", "k8s.pod.ip": "203.0.113.8"}
    assert redaction.attributes(resource) == resource


def test_secrets_in_keys_and_in_bytes_go_too(redaction: Redaction) -> None:
    assert redaction.attributes({"ada@mail.example": 1, "bob@mail.example": 2}) == {REDACTED: 1, f"{REDACTED} 2": 2}
    assert redaction.value(b"from 203.0.113.7 \xff") == b"from [redacted] \xff"
    assert redaction.value({"ada@mail.example"}) == [REDACTED]


def test_what_is_too_much_is_cut_and_counted() -> None:
    redaction = Redaction(max_length=50)
    assert redaction.text("x" * 60) == "x" * 49 + "…"
    assert redaction.counts["length"] == 1
    # The cut goes through an address: no half of it is left.
    assert "ada" not in redaction.text("x" * 40 + " ada@mail.example" + " y" * 20)
    deep: Any = "ada"
    for _ in range(3000):
        deep = [deep]
    assert "ada" not in str(redaction.value(deep))
    assert redaction.counts["depth"] == 1
    assert (
        len(redaction.value(list(range(2000)))) == len(redaction.attributes({str(n): n for n in range(1030)})) == 1024
    )
    assert redaction.counts["items"] == 976 + 6


def test_users_add_keys_and_patterns() -> None:
    redaction = Redaction(
        (*DEFAULT_PATTERNS, Rule("badge", r"\bB\d{6}\b"), re.compile("xyzzy"), r"plugh\d+"),
        (*DEFAULT_KEYS, "loyalty_card"),
    )
    assert redaction.text("B123456 xyzzy plugh1 b654321") == f"{REDACTED} {REDACTED} {REDACTED} {REDACTED}"
    assert redaction.counts["badge"] == redaction.counts["pattern"] == 2
    assert redaction.attributes({"customer.loyaltyCard": "1"}) == {"customer.loyaltyCard": REDACTED}


def test_every_unsound_pattern_and_key_is_named_at_once() -> None:
    with pytest.raises(ValueError, match="redaction") as caught:
        Redaction(("(", "a*"), ("--",), max_length=0)
    for part in ("'('", "unterminated", "'a*'", "everywhere", "'--'", "max_length 0"):
        assert part in str(caught.value)


def test_memory_of_harmless_texts_is_bounded(redaction: Redaction) -> None:
    for n in range(10_000):
        redaction.attributes({f"key{n}": f"text {n}"})
    assert len(redaction._harmless) <= 4096
    assert len(redaction._after) <= 4096


NESTED = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from([secret for _, secret in SECRETS]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9) | st.sampled_from(DEFAULT_KEYS), inner)
    ),
    max_leaves=15,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=9), NESTED))
def test_redacted_twice_is_redacted_once_and_no_secret_is_left(attributes: dict[str, Any]) -> None:
    redaction = Redaction()
    once = redaction.attributes(attributes)
    assert not any(secret in str(once) for _, secret in SECRETS)
    counted = dict(redaction.counts)
    assert redaction.attributes(once) == once
    assert redaction.counts == counted
