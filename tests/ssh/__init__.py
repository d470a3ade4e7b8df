"""Tests of the package ssh."""
