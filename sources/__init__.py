"""Where bytes come from and go back to: each kind of place as a Source and its Target."""
