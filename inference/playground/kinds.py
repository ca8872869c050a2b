"""Which page of the playground is for which kind of model."""

TABS = {
    "playground": "Chat",
    "playground_images": "Images",
    "playground_speech": "Speech",
    "playground_transcription": "Transcription",
    "playground_embeddings": "Embeddings",
}
# Kind → the page where it can be tried.
PAGE_OF_KIND = {
    "chat": "playground",
    "image-to-text": "playground",
    "text-to-image": "playground_images",
    "tts": "playground_speech",
    "asr": "playground_transcription",
    "embeddings": "playground_embeddings",
}
