"""`ssoctl`, the command-line tool: a client of ssod's unix socket that holds no decision of its own."""
