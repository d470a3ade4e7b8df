"""What needs a person: alerts, what is watched for, and what should have happened and did not."""
