"""The loops: thin controllers that observe the caches, ask domain for a plan, and carry it out."""
