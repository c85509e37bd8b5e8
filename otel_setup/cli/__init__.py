"""What ``python -m otel_setup`` runs: one module a command, each with ``main(arguments) -> exit code``."""
