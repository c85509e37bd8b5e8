"""Collector configurations, built from small typed blocks."""
