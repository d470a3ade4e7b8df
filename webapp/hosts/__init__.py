"""Pages of hosts: other machines, over SSH."""
