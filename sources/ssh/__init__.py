"""Hosts over SSH, with nothing to install on them: listed by find, read by tar, written by SFTP or tar."""
