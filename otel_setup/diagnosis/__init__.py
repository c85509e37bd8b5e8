"""Why nothing arrives: what can be wrong on the way to a Collector, how to find it, and what to do about it."""
