"""Every piece of which pages are made, on one page."""
