from django.db import migrations, models

from bench.releases.registry import LAST


class Migration(migrations.Migration):
    dependencies = [("registry", LAST)]

    operations = [
        migrations.AddField(
            model_name="tenant",
            name="region",
            field=models.CharField(max_length=20, blank=True, default="", db_default=""),
        ),
    ]
