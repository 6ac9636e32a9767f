"""What is right: pure decisions from what was observed and the time. No I/O, no clock, no randomness, no logging."""
