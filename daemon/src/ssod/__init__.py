"""ssod: the SSO server, and the master secret server when its master subservice is active."""

__version__ = "0.1.0"
