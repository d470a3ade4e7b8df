"""Tests of hosts over SSH, on a real sshd."""
