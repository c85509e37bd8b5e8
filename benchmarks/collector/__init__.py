"""What a Collector in one of this project's roles costs, beside one that takes data in and does nothing with it."""
