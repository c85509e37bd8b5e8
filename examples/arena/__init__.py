"""Arena: a small real-time game server without seats, whose phases, actions and metrics are its own."""
