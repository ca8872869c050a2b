from django.apps import AppConfig


class ImagesConfig(AppConfig):
    name = "inference.images"
    verbose_name = "Images"
