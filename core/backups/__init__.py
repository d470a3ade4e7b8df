"""What backup jobs and copy jobs do."""
