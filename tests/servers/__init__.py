"""Real servers that tests talk to, each started once a test process, on a port of its own."""
