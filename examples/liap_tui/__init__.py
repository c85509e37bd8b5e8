"""Liap Tui: a small, faithful game server, its simulated players and its own record of what happened."""
