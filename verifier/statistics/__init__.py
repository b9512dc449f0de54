"""What can only be said of many requests: shares that drift, losses above what is accepted.

`sequential` watches shares window by window, for years; pure.
"""
