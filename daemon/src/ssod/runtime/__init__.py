"""The process: signals, systemd, clocks, the loops, and the one place where everything is put together."""
