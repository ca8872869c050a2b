"""Requests to addresses that strangers have chosen: images by URL, webhooks."""
