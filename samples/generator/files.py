"""The attached files: small, and made without a compressor, whose output would change with its version."""

import struct
import zlib

PALETTES = {
    "harbour": [(196, 222, 240), (120, 170, 205), (40, 92, 140), (20, 48, 84), (236, 232, 220), (200, 60, 50)],
    "fjord": [(214, 226, 236), (150, 178, 160), (78, 112, 88), (44, 74, 96), (240, 240, 236), (120, 130, 140)],
    "sunset": [(252, 214, 150), (244, 150, 96), (190, 84, 92), (84, 52, 92), (30, 32, 60), (255, 240, 200)],
    "logo": [(255, 255, 255), (20, 48, 84), (200, 60, 50), (120, 170, 205), (20, 48, 84), (255, 255, 255)],
}


def png(palette, width=72, height=48, shift=0):
    """A picture of a horizon with a boat on it: a PNG of palette colours in stored (uncompressed) blocks."""
    rows = b""
    horizon = height * 5 // 9 + shift % 4
    for y in range(height):
        row = bytearray([0])
        for x in range(width):
            if y < horizon:
                colour = 0 if (x * 3 + y * 5 + shift) % 17 else 4
            else:
                colour = 1 if (x + (y * y) // 3 + shift) % 5 else 2
            hull = (width // 3 + shift) % (width // 2)
            if horizon - 2 <= y < horizon + 3 and hull + (y - horizon) <= x < hull + 18 - (y - horizon):
                colour = 3
            if horizon - 6 <= y < horizon - 2 and hull + 5 <= x < hull + 13:
                colour = 5 if x % 3 else 4
            row.append(colour)
        rows += bytes(row)
    colours = b"".join(bytes(c) for c in PALETTES[palette])
    stored = b"".join(_stored(rows[i : i + 65535], i + 65535 >= len(rows)) for i in range(0, len(rows), 65535))
    data = b"\x78\x01" + stored + struct.pack(">I", zlib.adler32(rows))
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"PLTE", colours) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _stored(block, last):
    return struct.pack("<BHH", 1 if last else 0, len(block), len(block) ^ 0xFFFF) + block


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pdf(lines):
    """A one-page PDF with the given lines of text, and a right cross-reference table."""
    shown = "".join(f"({line.replace(chr(92), chr(92) * 2).replace('(', chr(92) + '(').replace(')', chr(92) + ')')}) Tj T*\n" for line in lines)
    stream = f"BT /F1 11 Tf 14 TL 60 780 Td\n{shown}ET\n".encode("latin-1")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%sendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    out, offsets = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return out + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)


def invite(method, uid, start, end, summary, location, organizer, attendees, description, sequence=0):
    lines = [
        "BEGIN:VCALENDAR", "PRODID:-//Example//Harbour Calendar 4.2//EN", "VERSION:2.0", f"METHOD:{method}", "BEGIN:VEVENT",
        f"UID:{uid}", f"DTSTAMP:{start}", f"DTSTART:{start}", f"DTEND:{end}", f"SUMMARY:{summary}", f"LOCATION:{location}",
        f"ORGANIZER;CN={organizer[0]}:mailto:{organizer[1]}",
        *[f"ATTENDEE;ROLE=REQ-PARTICIPANT;RSVP=TRUE;CN={name}:mailto:{address}" for name, address in attendees],
        f"DESCRIPTION:{description}", f"SEQUENCE:{sequence}", "STATUS:CONFIRMED", "END:VEVENT", "END:VCALENDAR",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"
