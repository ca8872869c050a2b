"""What the sandbox tells the person at the terminal."""


class SandboxError(Exception):
    """Something a person can put right: one line, the cause and the remedy.

    Shown as it is, without a traceback, and ends the sandbox with status 1.
    """
