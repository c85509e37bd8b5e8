"""Checks of rules: each looks for one kind of fault, and says what to do about it."""
