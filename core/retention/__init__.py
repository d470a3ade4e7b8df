"""What is kept and what goes: rules, pins, the trash, prunes, and whether the rules are held."""
