"""What the product knows: settings, rows, and services as modules of plain functions, one noun a file."""
