"""Pictures without a model: blocks of colour made from prompt and seed, as PNG or JPEG.

Standard library only. The file says inside that it is a stand-in.
"""

import functools
import hashlib
import struct
import zlib

LABEL = b"sandbox stand-in: drawn from prompt and seed, no image model"

# A picture is a grid of blocks of one colour each. JPEG's own blocks have this size.
BLOCK_PX = 8

Colour = tuple[int, int, int]


def draw(prompt: str, seed: int, width: int, height: int, *, form: str) -> bytes:
    """form: "png" or "jpeg". The same arguments give the same bytes."""
    digest = hashlib.sha256(f"{seed}:{prompt}".encode()).digest()
    corners = [tuple(digest[i : i + 3]) for i in (0, 3, 6, 9)]
    columns, rows = -(-width // BLOCK_PX), -(-height // BLOCK_PX)
    grid = [[_mixed(corners, x / columns, y / rows) for x in range(columns)] for y in range(rows)]
    return _jpeg(grid, width, height) if form == "jpeg" else _png(grid, width, height)


def _mixed(corners: list[tuple[int, ...]], x: float, y: float) -> Colour:
    red, green, blue = (
        int(
            (corners[0][k] * (1 - x) + corners[1][k] * x) * (1 - y)
            + (corners[2][k] * (1 - x) + corners[3][k] * x) * y
        )
        for k in range(3)
    )
    return red, green, blue


# --- PNG -------------------------------------------------------------------------------------


def _png(grid: list[list[Colour]], width: int, height: int) -> bytes:
    lines = []
    for y in range(height):
        if y % BLOCK_PX == 0:
            colours = b"".join(bytes(colour) * BLOCK_PX for colour in grid[y // BLOCK_PX])
            line = b"\0" + colours[: 3 * width]
        lines.append(line)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
            _png_chunk(b"tEXt", b"Source\0" + LABEL),
            _png_chunk(b"IDAT", zlib.compress(b"".join(lines), 1)),
            _png_chunk(b"IEND", b""),
        )
    )


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


# --- JPEG: baseline, every block of one colour, so that only its mean is coded ---------------

# Code lengths and values of the mean's size, as in the standard's example table.
DC_LENGTHS = bytes((0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0))
DC_VALUES = bytes(range(12))
# "Nothing more in this block" is the one code used; decoders want a table with another.
AC_LENGTHS = bytes((1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
AC_VALUES = bytes((0x00, 0x01))
END_OF_BLOCK = "0"

# The mean of a block is scaled by 8; this puts it back to about one step per shade.
QUANTISER = 8


def _dc_codes() -> list[str]:
    """The bits for each size, by the standard's rule for making codes from lengths."""
    codes: list[str] = []
    code = 0
    for length, count in enumerate(DC_LENGTHS, start=1):
        for _ in range(count):
            codes.append(format(code, f"0{length}b"))
            code += 1
        code <<= 1
    return codes


DC_CODES = _dc_codes()


@functools.cache
def _block_bits(difference: int) -> str:
    """One block: how its mean differs from the one before, then nothing more."""
    size = abs(difference).bit_length()
    bits = ""
    if size:
        value = difference if difference > 0 else difference + (1 << size) - 1
        bits = format(value, f"0{size}b")
    return DC_CODES[size] + bits + END_OF_BLOCK


def _jpeg(grid: list[list[Colour]], width: int, height: int) -> bytes:
    bits: list[str] = []
    before = (0, 0, 0)
    for row in grid:
        for colour in row:
            means = _ycc(colour)
            for k in range(3):
                bits.append(_block_bits(means[k] - before[k]))
            before = means
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    scan = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\x00")
    components = b"".join(bytes((number, 0x11, 0)) for number in (1, 2, 3))
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"),
            _segment(0xFE, LABEL),
            _segment(0xDB, b"\0" + bytes([QUANTISER]) * 64),
            _segment(0xC0, struct.pack(">BHHB", 8, height, width, 3) + components),
            _segment(0xC4, b"\x00" + DC_LENGTHS + DC_VALUES),
            _segment(0xC4, b"\x10" + AC_LENGTHS + AC_VALUES),
            _segment(0xDA, b"\x03\x01\0\x02\0\x03\0\x00\x3f\x00"),
            scan,
            b"\xff\xd9",
        )
    )


def _segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content


def _ycc(colour: Colour) -> Colour:
    """Brightness and the two colour differences, around zero."""
    red, green, blue = colour
    brightness = 0.299 * red + 0.587 * green + 0.114 * blue
    return (
        round(brightness) - 128,
        round(0.564 * (blue - brightness)),
        round(0.713 * (red - brightness)),
    )
