from django.db import migrations, models

from bench.releases.usage import LAST


class Migration(migrations.Migration):
    dependencies = [("usage", LAST)]

    operations = [
        migrations.AddField(
            model_name="usagerecord",
            name="region",
            field=models.CharField(max_length=20, blank=True, default="", db_default=""),
        ),
        migrations.AddIndex(
            model_name="usagerecord",
            index=models.Index(fields=["region", "request_id"], name="usage_by_region"),
        ),
    ]
