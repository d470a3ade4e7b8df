"""Pages of alerts and of the channels that are told."""
