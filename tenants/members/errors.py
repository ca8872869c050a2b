"""Why a change of a workspace's team is refused. The text is for the person who tried."""


class TeamError(Exception):
    """Nothing was changed."""


class NotAMemberError(TeamError):
    """This person is not, or no longer, in the workspace."""


class RoleError(TeamError):
    """The role does not allow it."""


class LastOwnerError(TeamError):
    """A workspace has an owner at any time."""


class InvitationError(TeamError):
    """It cannot be sent, or not be accepted."""
