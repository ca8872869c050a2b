"""Why a backup or a restore cannot be. The text is for the operator, and says what to do."""


class BackupError(Exception):
    """Nothing was put in the place of what was there."""
