"""What of the shared schema goes with a tenant that is exported alone, model by model.

A model that is not here makes a test fail: whoever adds one decides. What a tenant's own schema has
goes with it as a whole.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Comes:
    """where: its rows t of the tenant, by %(id)s and %(code)s. A row that is known where it goes
    to (`may_be_there`) stays there as it is."""

    where: str
    may_be_there: bool = False


@dataclass(frozen=True, slots=True)
class Stays:
    why: str


_BY_ID = "t.tenant_id = %(id)s"
_BY_CODE = "t.tenant_code = %(code)s"
_OF_MEMBERS = "t.user_id IN (SELECT user_id FROM users_membership WHERE tenant_id = %(id)s)"
_THE_OPERATORS = Stays("the operator's own")
_MADE_AGAIN = Stays("a copy of what the tenant's schema has: made again from there")
_OF_THE_GATE = Stays("of the gate that was: another one is made from the ledger")
_DJANGO = Stays("Django's, the same in every installation")
_SESSIONS = Stays("whoever comes signs in")

DECISIONS: dict[str, Comes | Stays] = {
    # Restored by hand, in this order: others name them.
    "registry.Tenant": Comes("t.id = %(id)s"),
    "users.User": Comes(_OF_MEMBERS.replace("t.user_id", "t.id"), may_be_there=True),
    "account.EmailAddress": Comes(_OF_MEMBERS, may_be_there=True),
    "mfa.Authenticator": Comes(_OF_MEMBERS, may_be_there=True),
    # The rest as they stand.
    "users.Membership": Comes(_BY_ID),
    "registry.Domain": Comes(_BY_ID),
    "operators.TenantNote": Comes(_BY_ID),
    "members.Invitation": Comes(_BY_ID),
    "workspaces.Preferences": Comes(_BY_ID),
    "workspaces.PastSlug": Comes(_BY_ID, may_be_there=True),
    "workspaces.Closure": Comes(_BY_ID),
    "workspaces.WakeUp": Comes(_BY_CODE),
    "prices.Markup": Comes(_BY_CODE),
    "onboarding.TrialGrant": Comes(f"{_BY_ID} AND t.booked_at IS NOT NULL", may_be_there=True),
    "stripe.StripeObject": Comes(_BY_CODE, may_be_there=True),
    "stripe.OpenPayment": Comes(_BY_CODE, may_be_there=True),
    "stripe.BalanceWatch": Comes(_BY_CODE, may_be_there=True),
    "stripe.KnownDispute": Comes(_BY_CODE, may_be_there=True),
    "registry.Plan": Stays("its slug is looked for where the tenant goes to"),
    "registry.SchemaTemplate": Stays("the release's"),
    "registry.Contraction": Stays("the release's"),
    "users.User_groups": Stays("staff's roles are given by hand"),
    "users.User_user_permissions": Stays("staff's rights are given by hand"),
    "users.SignIn": Stays("of people, whichever workspace they go to"),
    "operators.OperatorAction": _THE_OPERATORS,
    "announcements.Announcement": _THE_OPERATORS,
    "announcements.Announcement_hidden_by": _THE_OPERATORS,
    "announcements.Maintenance": _THE_OPERATORS,
    "members.Visit": Stays("noted again at the next visit"),
    "prices.PriceVersion": _THE_OPERATORS,
    "prices.Rate": _THE_OPERATORS,
    "admission.GateStanding": _OF_THE_GATE,
    "admission.GateProcess": _OF_THE_GATE,
    "admission.FallbackHold": Stays("no tenant is exported or replaced while it has any"),
    "admission.CountedSecond": _OF_THE_GATE,
    "exports.Export": Stays("files of a day"),
    "reconciliation.UpstreamDay": _THE_OPERATORS,
    "reconciliation.AwaitedFigure": Stays("of upstream's accounts, which are the operator's"),
    "stripe.StripeEvent": Stays("of the operator's account at Stripe"),
    "stripe.OwedMail": Stays("sent from where they are owed"),
    "stripe.EventCursor": Stays("of the operator's account at Stripe"),
    "business.TenantDay": _MADE_AGAIN,
    "business.TenantEnds": _MADE_AGAIN,
    "business.Latency": _MADE_AGAIN,
    "business.LedgerMonth": _MADE_AGAIN,
    "business.TenantState": _MADE_AGAIN,
    "business.CreditChange": Stays("waits for an operator of that installation"),
    "business.QueueSample": _THE_OPERATORS,
    "business.MonthClose": _THE_OPERATORS,
    "upstreams.Upstream": _THE_OPERATORS,
    "catalog.AIModel": _THE_OPERATORS,
    "catalog.Route": _THE_OPERATORS,
    "catalog.RouteCandidate": _THE_OPERATORS,
    "catalog.ModelNotice": _THE_OPERATORS,
    "catalog.ModelNoticeReceipt": Stays("of notices, which are the operator's"),
    "catalog.PriceNotice": Stays("of price versions, which are the operator's"),
    "catalog.Comparison": _THE_OPERATORS,
    "catalog.Difference": _THE_OPERATORS,
    "tokens.PromptEvidence": Stays("learned anew"),
    "tokens.PromptCorrection": _THE_OPERATORS,
    "images.StoredImage": Stays("none lasts an hour"),
    "admin.LogEntry": _THE_OPERATORS,
    "auth.Permission": _DJANGO,
    "auth.Group_permissions": _DJANGO,
    "auth.Group": _DJANGO,
    "contenttypes.ContentType": _DJANGO,
    "sessions.Session": _SESSIONS,
    "account.EmailConfirmation": Stays("a link that works for days: it is mailed again"),
    "usersessions.UserSession": _SESSIONS,
}
