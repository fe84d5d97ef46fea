"""The sealed copy of the keyring on this host's disk, and the keys of this host alone that seal it."""
