"""The SSO database: one repository for PostgreSQL and SQLite."""
