"""HTTP: the two faces that answer, and the client that asks the other servers."""
