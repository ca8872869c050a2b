"""Which Redis partition a tenant lives in.

All keys of a tenant carry the same hash tag (`{p17}`), so they sit in one slot of a
Redis Cluster and one script may touch them all; partitions are drained in parallel.
"""

from zlib import crc32

# Fixed for the life of a deployment: a tenant's keys carry the number.
PARTITIONS = 64


def partition_of(tenant_code: str) -> int:
    return crc32(tenant_code.encode()) % PARTITIONS


def partition_key(partition: int, name: str) -> str:
    """`{p17}:name`."""
    return f"{{p{partition}}}:{name}"


def tenant_key(tenant_code: str, name: str) -> str:
    """`{p17}:name`, in the tenant's partition."""
    return partition_key(partition_of(tenant_code), name)
