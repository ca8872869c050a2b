"""Requests per minute that one Cloudflare account has, by kind of work; all tenants share them.

As published up to 2026-11 (developers.cloudflare.com/workers-ai/platform/limits). Some models have
less, and beta models may.
"""

PER_MINUTE = {
    "chat": 300,
    "moderation": 300,
    "embeddings": 3000,
    "asr": 720,
    "image-classification": 3000,
    "image-to-text": 720,
    "text-classification": 2000,
    "rerank": 2000,
    "text-to-image": 720,
    "inpainting": 720,
    "translation": 720,
}
