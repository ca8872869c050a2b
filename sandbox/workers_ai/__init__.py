"""A stand-in for Cloudflare Workers AI: its own process, reached by URL like the real one."""
