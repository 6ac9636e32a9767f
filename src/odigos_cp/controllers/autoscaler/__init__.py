"""The autoscaler: keeps the collectors, what they run, and what is known of their load."""
