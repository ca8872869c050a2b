"""What a small model says of input that nobody could work on."""


class RefusedError(Exception):
    """The caller's fault, told in words."""
