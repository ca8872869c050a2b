"""A mail server that delivers nothing, and the mailbox that shows what it was given."""
