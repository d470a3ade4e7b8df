"""One way to reach another machine: pinned host keys, logins without prompts, SFTP."""
