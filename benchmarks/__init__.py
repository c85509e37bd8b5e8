"""What monitoring costs, measured against the same signals written by hand on the stock OpenTelemetry SDK."""
