"""The queue door: the queue, its tasks, the minute tick, the job process, and who starts them all."""
