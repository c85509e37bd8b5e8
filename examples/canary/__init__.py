"""A bot outside the server that plays one short game a minute, and tells what a player feels."""
