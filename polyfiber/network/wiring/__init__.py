"""From the nodes of a file to a network: numbered values, gates, exact products, blocks."""
