"""What must be true of payments at any moment: part of `manage.py audit`.

Each query returns the rows that break the rule named before it, as in billing/invariants.py. A
cent is 10,000,000 nUSD.
"""

from collections.abc import Iterator

from billing.stripe.models import StripeEvent

RULES = {
    "a credited top-up has one entry of its credit": """
        SELECT t.id, t.credit_cents, e.reference, p.amount_nusd FROM payments_topup t
          LEFT JOIN ledger_journalentry e ON e.reference = 'stripe:' || t.payment_intent_id
          LEFT JOIN ledger_posting p ON p.entry_id = e.id
               AND p.source_id = 'stripe' AND p.destination_id = 'credit'
         WHERE t.status = 'credited'
           AND p.amount_nusd IS DISTINCT FROM t.credit_cents::bigint * 10000000""",
    "an entry of a top-up is of a credited one": """
        SELECT e.reference FROM ledger_journalentry e
         WHERE kind = 'top_up' AND NOT EXISTS (
            SELECT FROM payments_topup t
             WHERE t.status = 'credited' AND e.reference = 'stripe:' || t.payment_intent_id)""",
    "no more is paid back than was paid, and no more credit is taken than was given": """
        SELECT t.id, t.credit_cents, gone.credit_cents, gone.amount_cents FROM payments_topup t,
               LATERAL (SELECT coalesce(sum(credit_cents), 0) AS credit_cents,
                               coalesce(sum(amount_cents), 0) AS amount_cents
                          FROM (SELECT credit_cents, amount_cents FROM payments_refund r
                                 WHERE r.top_up_id = t.id
                                   AND r.status IN ('taken', 'pending', 'succeeded')
                                 UNION ALL
                                -- Banks do not know what was paid back: their money may be more.
                                SELECT credit_cents, 0 FROM payments_dispute d
                                 WHERE d.top_up_id = t.id AND d.outcome IN ('opened', 'lost'))
                               AS each) AS gone
         WHERE gone.credit_cents > t.credit_cents
            OR gone.amount_cents > t.credit_cents + t.fee_cents + t.tax_cents""",
    "a refund's entries are what became of it": """
        WITH named AS (
            SELECT id, status, credit_cents,
                   CASE WHEN is_ours THEN 'refund:' || replace(id::text, '-', '')
                        ELSE 'stripe:' || stripe_id END AS reference
              FROM payments_refund),
        booked AS (
            SELECT n.id, sum(CASE p.source_id WHEN 'credit' THEN p.amount_nusd
                                  ELSE -p.amount_nusd END) AS amount_nusd
              FROM named n
              JOIN ledger_journalentry e ON e.reference IN (n.reference, n.reference || ':failed')
              JOIN ledger_posting p ON p.entry_id = e.id GROUP BY 1)
        SELECT n.reference, n.status, n.credit_cents, b.amount_nusd FROM named n
          LEFT JOIN booked b USING (id)
         WHERE coalesce(b.amount_nusd, 0) <> CASE
               WHEN n.status IN ('taken', 'pending', 'succeeded')
               THEN n.credit_cents::bigint * 10000000 ELSE 0 END""",
    "a dispute's entries are what became of it": """
        SELECT d.stripe_id, d.outcome, d.credit_cents, booked.amount_nusd
          FROM payments_dispute d,
               LATERAL (SELECT coalesce(sum(CASE WHEN p.source_id = 'credit' THEN p.amount_nusd
                                                 WHEN p.destination_id = 'credit'
                                                 THEN -p.amount_nusd ELSE 0 END), 0) AS amount_nusd
                          FROM ledger_journalentry e JOIN ledger_posting p ON p.entry_id = e.id
                         WHERE e.reference LIKE 'stripe:' || d.stripe_id || ':%%') AS booked
         WHERE booked.amount_nusd <> CASE WHEN d.outcome IN ('opened', 'lost')
               THEN d.credit_cents::bigint * 10000000 ELSE 0 END""",
    "what has begun and not ended is looked after": """
        SELECT 'top-up', id, status FROM payments_topup t
         WHERE status IN ('pending', 'needs_action')
           AND NOT EXISTS (SELECT FROM stripe_openpayment o WHERE o.id = t.id)
         UNION ALL
        SELECT 'refund', id, status FROM payments_refund r
         WHERE status IN ('requested', 'taken', 'pending') AND is_ours
           AND NOT EXISTS (SELECT FROM stripe_openpayment o WHERE o.id = r.id)""",
    "what was bought, less refunds and lost disputes, is what Stripe's account has": """
        WITH sums AS (
            SELECT (SELECT coalesce(sum(credit_cents), 0) FROM payments_topup
                     WHERE status = 'credited') AS bought,
                   (SELECT coalesce(sum(credit_cents), 0) FROM payments_refund
                     WHERE status IN ('taken', 'pending', 'succeeded')) AS refunded,
                   (SELECT coalesce(sum(credit_cents), 0) FROM payments_dispute
                     WHERE outcome = 'lost') AS lost,
                   (SELECT coalesce(sum(credit_cents), 0) FROM payments_dispute
                     WHERE outcome = 'opened') AS disputed,
                   (SELECT coalesce(sum(balance_nusd), 0) FROM ledger_ledgeraccount
                     WHERE code = 'stripe') AS stripe_nusd,
                   (SELECT coalesce(sum(balance_nusd), 0) FROM ledger_ledgeraccount
                     WHERE code = 'dispute') AS dispute_nusd)
        SELECT bought, refunded, lost, disputed, stripe_nusd, dispute_nusd FROM sums
         WHERE stripe_nusd <> -(bought - refunded - lost)::bigint * 10000000
            OR dispute_nusd <> disputed::bigint * 10000000""",
    "every payment is what was asked for": """
        SELECT id, payment_intent_id, failure FROM payments_topup WHERE status = 'mismatch'""",
}


def check_events() -> Iterator[str]:
    """Events of Stripe's that were given up, and wait for a person."""
    given_up = StripeEvent.objects.filter(
        state=StripeEvent.State.FAILED, next_try_at=None
    ).order_by("id")
    for event in given_up:
        yield f"Stripe event {event.event_id} ({event.type}) was given up: {event.error}"
