"""What a finished dataset says about itself: manifest, checksums, card."""
