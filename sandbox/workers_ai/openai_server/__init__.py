"""A plain OpenAI-compatible server below /openai/v1: another kind of provider than Workers AI.

It answers as vLLM does: no envelope, no neurons, usage in a stream only when asked for.
"""
