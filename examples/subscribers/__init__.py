"""Programs that read events and do something with them; each reads a hub, or the stream of its own process."""
