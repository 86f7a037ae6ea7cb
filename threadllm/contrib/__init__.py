"""For other people's frameworks: a room for each, which alone may import it."""
