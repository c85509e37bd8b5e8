"""Example game servers that report to ``otel_setup``, and the comparison of their own records with what it shows."""
