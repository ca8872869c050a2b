"""Backups, of the whole installation and of one tenant: docs/backup.md is for the deployer."""
