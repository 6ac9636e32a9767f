"""The demo destination: python -m store (see __main__.py)."""
