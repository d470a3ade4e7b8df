"""Who may open what: logins, tokens, roles, and the audit log."""
