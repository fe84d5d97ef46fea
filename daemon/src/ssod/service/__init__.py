"""Use cases: a caller comes in, the act is audited, core decides, storage keeps."""
