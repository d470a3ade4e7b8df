"""What is backed up, when and where to: configs, their sources and destinations, and how safe each is."""
