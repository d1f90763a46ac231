"""Do two networks name the same largest output: `decide` over regions, `boxes` by bounds on boxes."""
