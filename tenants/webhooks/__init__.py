"""Webhooks to a workspace's own servers, signed as Standard Webhooks are."""
