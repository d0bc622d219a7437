"""How fast a load is, as ratios to a bare limit and to peers that read the same API."""
