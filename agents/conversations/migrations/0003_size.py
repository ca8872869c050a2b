from django.db import migrations, models

SIZES = """
UPDATE conversations_conversation AS c
   SET size_bytes = 256 + coalesce(
           (SELECT sum(octet_length(body) + 256) FROM conversations_item
             WHERE conversation_id = c.id), 0)
"""


class Migration(migrations.Migration):
    dependencies = [
        ('conversations', '0002_turns'),
    ]

    operations = [
        migrations.AddField(
            model_name='conversation',
            name='size_bytes',
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.RunSQL(SIZES, migrations.RunSQL.noop),
    ]
