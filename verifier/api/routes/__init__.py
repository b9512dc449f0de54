"""The routes, one file a subject. Each names its scope by the type of its first argument."""
