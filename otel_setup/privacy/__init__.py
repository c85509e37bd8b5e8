"""What must not leave the process: players' names, and secrets.

names     ─► Pseudonyms: one keyed pseudonym per player, wherever the name stands
secrets   ─► Redaction: values of telling keys, and addresses, tokens, card numbers in any text
both      ─► sanitizer and exporters: copies of spans, log records and resources, before an exporter sees them

Those two work on the SDK's objects, and are imported where these are.
"""

from otel_setup.privacy.keys import KEY_FILE_VARIABLE, Key, default_key_file, find_key, given_key, read_key
from otel_setup.privacy.pseudonyms import Pseudonyms, looks_like_pseudonym
from otel_setup.privacy.redaction import DEFAULT_EXEMPT, DEFAULT_KEYS, DEFAULT_PATTERNS, REDACTED, Redaction, Rule
from otel_setup.privacy.vocabulary import PERSONAL, vocabulary

__all__ = [
    "DEFAULT_EXEMPT",
    "DEFAULT_KEYS",
    "DEFAULT_PATTERNS",
    "KEY_FILE_VARIABLE",
    "PERSONAL",
    "REDACTED",
    "Key",
    "Pseudonyms",
    "Redaction",
    "Rule",
    "default_key_file",
    "find_key",
    "given_key",
    "looks_like_pseudonym",
    "read_key",
    "vocabulary",
]
