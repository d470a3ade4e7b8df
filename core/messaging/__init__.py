"""How people and watchers elsewhere hear of it: channels, deliveries, pings, the heartbeat."""
