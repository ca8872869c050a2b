"""A stand-in for Stripe: its own process, reached by URL like the real one."""
