"""What both example games share: the record, sockets, the pace of play, a server for tests and simulations."""
