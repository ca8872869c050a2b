from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("usage", "9001_region")]

    operations = [migrations.RemoveField(model_name="usagerecord", name="gateway_log_id")]
