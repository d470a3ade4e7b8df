"""Where bytes go: one small Protocol, one module per provider, wrappers around any of them."""
