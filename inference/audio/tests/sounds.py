"""Small sound files, made by hand: just what a reader of lengths looks at."""

import struct


def wav(seconds: float, *, rate: int = 8_000, behind: bytes = b"", codec: int = 1) -> bytes:
    """16-bit mono silence."""
    raw = bytes(2 * round(seconds * rate))
    head = struct.pack("<HHIIHH", codec, 1, rate, 2 * rate, 2, 16)
    body = b"fmt " + struct.pack("<I", 16) + head + b"data" + struct.pack("<I", len(raw)) + raw
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body + behind


def mp3(frames: int, *, head: bytes = b"\xff\xf3\x40\xc0", size: int = 104) -> bytes:
    """MPEG-2 layer III at 22,050 Hz and 32 kbit/s: 576 samples a frame."""
    return head.ljust(size, b"\0") * frames


def id3(size: int) -> bytes:
    return b"ID3\x04\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + bytes(size)


def adts(frames: int, *, payload: int = 6) -> bytes:
    """At 22,050 Hz: 1,024 samples a frame."""
    size = 7 + payload
    packed = 0xFFF1 << 40 | 1 << 38 | 7 << 34 | 1 << 30 | size << 13 | 0x7FF << 2
    return (packed.to_bytes(7, "big") + bytes(payload)) * frames


def flac(samples: int, *, rate: int = 16_000, frame_bytes: int = 500, cover: int = 0) -> bytes:
    info = struct.pack(">HH", 4096, 4096) + bytes(6)
    info += (rate << 44 | 0 << 41 | 15 << 36 | samples).to_bytes(8, "big") + bytes(16)
    picture = b"\x86" + cover.to_bytes(3, "big") + bytes(cover)
    return b"fLaC\x00" + len(info).to_bytes(3, "big") + info + picture + bytes(frame_bytes)


def ogg_page(packets: list[bytes], granule: int) -> bytes:
    table = bytes(len(packet) for packet in packets)
    head = struct.pack("<4sBBQIII", b"OggS", 0, 0, granule, 1, 0, 0)
    return head + bytes([len(table)]) + table + b"".join(packets)


def opus(packets: int, *, granule: int | None = None, first: int = 0xF8) -> bytes:
    """20 ms a packet."""
    head = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 312, 48_000, 0, 0)
    pages = [ogg_page([head], 0), ogg_page([b"OpusTags" + bytes(8)], 0)]
    left = packets
    while left:
        count = min(50, left)
        left -= count
        at = 960 * (packets - left)
        is_last = not left and granule is not None
        packet = bytes([first]) + bytes(39)
        pages.append(ogg_page([packet] * count, granule if is_last else at))  # type: ignore[arg-type]
    return b"".join(pages)


def vorbis(samples: int, *, rate: int = 44_100) -> bytes:
    head = b"\x01vorbis" + struct.pack("<IBI", 0, 1, rate) + bytes(14)
    return ogg_page([head], 0) + ogg_page([bytes(200)] * 50, samples)


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def mp4(units: int, *, scale: int = 1_000, version: int = 0, extra: bytes = b"") -> bytes:
    form = ">QQIQ" if version else ">IIII"
    header = bytes([version, 0, 0, 0]) + struct.pack(form, 0, 0, scale, units) + bytes(80)
    return (
        box(b"ftyp", b"M4A \0\0\0\0")
        + box(b"moov", box(b"mvhd", header))
        + extra
        + box(b"mdat", bytes(5_000))
    )


def element(kind: int, content: bytes, *, unknown_size: bool = False) -> bytes:
    name = kind.to_bytes((kind.bit_length() + 7) // 8, "big")
    size = b"\x01" + b"\xff" * 7 if unknown_size else (1 << 28 | len(content)).to_bytes(4, "big")
    return name + size + content


def webm(*, duration_ms: float | None = None, blocks_ms: tuple[int, ...] = ()) -> bytes:
    """A cluster a second, of sizes that were not known, as browsers record."""
    info = element(0x2AD7B1, (1_000_000).to_bytes(3, "big"))
    if duration_ms is not None:
        info += element(0x4489, struct.pack(">d", duration_ms))
    clusters = b""
    for at in blocks_ms:
        cluster, relative = divmod(at, 1000)
        block = element(0xA3, b"\x81" + struct.pack(">hB", relative, 0) + bytes(60))
        time = element(0xE7, (cluster * 1000).to_bytes(4, "big"))
        clusters += element(0x1F43B675, time + block, unknown_size=True)
    segment = element(0x1549A966, info) + clusters + element(0xEC, bytes(400))
    return element(0x1A45DFA3, bytes(20)) + element(0x18538067, segment, unknown_size=True)
