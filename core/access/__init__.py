"""Who may do what: users and their logins, roles, tokens, where operators restore to, and the audit log."""
