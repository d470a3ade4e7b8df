"""When things run by themselves: cron lines, quiet hours, pauses, retries, limits."""
