"""`make bench`: how fast the parts are, and the whole. Prints, never judges. See `__main__`."""
