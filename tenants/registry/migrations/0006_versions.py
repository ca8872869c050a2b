from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0005_operators"),
    ]

    operations = [
        migrations.CreateModel(
            name="Contraction",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("app", models.CharField(max_length=255)),
                ("name", models.CharField(max_length=255)),
                ("needs_app", models.CharField(max_length=255)),
                ("needs_name", models.CharField(max_length=255)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("app", "name"), name="contraction_once")
                ],
            },
        ),
        migrations.AddField(
            model_name="tenant",
            name="schema_version",
            field=models.CharField(
                blank=True, db_default="", default="", editable=False, max_length=64
            ),
        ),
    ]
