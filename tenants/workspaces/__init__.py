"""A workspace's own settings, its former addresses, its end."""
