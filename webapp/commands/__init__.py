"""`flask backup …` and `flask user …`: a module for each noun."""
