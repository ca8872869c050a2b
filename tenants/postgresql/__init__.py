"""The database backend: django-tenants' with a guarantee for pooled connections."""
