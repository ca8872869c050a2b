"""What Cloudflare tells afterwards: neurons by GraphQL, and AI Gateway's rows of calls."""
