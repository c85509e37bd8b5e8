"""Alerts and recording rules, generated from the catalogue: ``python -m alerts build|check``."""
