"""Servers that tests run against: which ones (`choice`), and how each is started and stopped.

Nothing here is part of the product. Every server lives in a folder of its own below the
temporary directory, listens on 127.0.0.1 alone, and dies with the process that started it.
"""
