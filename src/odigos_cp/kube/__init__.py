"""Talks to the API server: client, caches, queues, controllers, leader gate. Knows nothing of Odigos."""
