"""Builds messages byte by byte.

The standard library's email package is not used: it folds headers differently from version to version, and what is checked in must
come out of the script again, bit for bit, on every machine.
"""

import base64
import re
import textwrap

CRLF = b"\r\n"
SPECIALS = re.compile(r'[()<>@,;:\\".\[\]]')
# RFC 2231: everything but these is percent-encoded in an extended parameter value.
ATTRIBUTE_CHARS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$&+-.^_`{}~"


def is_ascii(text):
    return all(ord(c) < 128 for c in text)


def clean(text):
    """A triple-quoted block as the lines that a person typed: no indentation, no blank lines around."""
    return textwrap.dedent(text).strip("\n")


# ---- headers ----


def encoded_words(text, charset="utf-8", form="b"):
    """RFC 2047: `text` as encoded words of at most 75 octets, each of whole characters, joined by folds."""
    room = 75 - len("=?" + charset + "?b??=")
    words, current = [], ""
    for char in text:
        if current and len(_encode_word(current + char, charset, form)) > room:
            words.append(current)
            current = ""
        current += char
    words.append(current)
    return "\r\n ".join(f"=?{charset}?{form}?{_encode_word(word, charset, form)}?=" for word in words)


def _encode_word(text, charset, form):
    data = text.encode(charset)
    if form.lower() == "b":
        return base64.b64encode(data).decode()
    keep = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/"
    return "".join("_" if b == 32 else chr(b) if b in keep else f"={b:02X}" for b in data)


def phrase(text, charset="utf-8", form="q"):
    """A display name: bare, quoted or encoded, as it needs."""
    if not is_ascii(text):
        return encoded_words(text, charset, form)
    if SPECIALS.search(text):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text


def unstructured(text, charset="utf-8", form="q"):
    return text if is_ascii(text) else encoded_words(text, charset, form)


def fold(name, value, width=76):
    """One header field, folded at spaces; what has no space in reach stays long, as real programs leave it."""
    line, lines = f"{name}:", []
    for piece in re.split(r"(?<=\S)(?=[ \t])|(?:\r\n)(?=[ \t])", " " + value):
        if len(line) + len(piece) > width and line.strip() and line != f"{name}:":
            lines.append(line)
            line = piece if piece.startswith((" ", "\t")) else " " + piece
        else:
            line += piece
    lines.append(line)
    return "\r\n".join(lines)


def parameter(name, value, style="auto"):
    """A MIME parameter. `style`: auto (RFC 2231 when it must), word (RFC 2047 in quotes, wrong but common), split (continuations)."""
    if style == "word":
        return f'{name}="{encoded_words(value)}"'
    if style == "split":
        chunks = [value[i : i + 18] for i in range(0, len(value), 18)]
        out = []
        for number, chunk in enumerate(chunks):
            encoded = "".join(chr(b) if b in ATTRIBUTE_CHARS else f"%{b:02X}" for b in chunk.encode())
            prefix = "UTF-8''" if number == 0 else ""
            out.append(f"{name}*{number}*={prefix}{encoded}")
        return "; ".join(out)
    if not is_ascii(value):
        encoded = "".join(chr(b) if b in ATTRIBUTE_CHARS else f"%{b:02X}" for b in value.encode())
        return f"{name}*=UTF-8''{encoded}"
    if re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+", value):
        return f"{name}={value}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{escaped}"'


# ---- bodies ----


def quoted_printable(data):
    """Data with LF line ends as quoted-printable lines of at most 76 octets, with CRLF."""
    out = []
    for line in data.split(b"\n"):
        pieces = [chr(b) if 33 <= b <= 126 and b != 61 or b in (9, 32) else f"={b:02X}" for b in line]
        if pieces and pieces[-1] in (" ", "\t"):
            pieces[-1] = f"={ord(pieces[-1]):02X}"
        current = ""
        for piece in pieces:
            if len(current) + len(piece) > 75:
                out.append(current + "=")
                current = ""
            current += piece
        out.append(current)
    return "\r\n".join(out).encode()


def base64_lines(data):
    text = base64.b64encode(data)
    return CRLF.join(text[i : i + 76] for i in range(0, len(text), 76))


def crlf(data):
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


class Part:
    """A MIME part: its header fields, already formatted, and the body as it is sent."""

    def __init__(self, content_type, body, encoding=None, fields=()):
        self.content_type, self.body, self.encoding, self.fields = content_type, body, encoding, list(fields)

    def header_fields(self):
        fields = [("Content-Type", self.content_type)]
        if self.encoding:
            fields.append(("Content-Transfer-Encoding", self.encoding))
        return fields + self.fields

    def to_bytes(self):
        head = "".join(fold(name, value) + "\r\n" for name, value in self.header_fields())
        return head.encode() + CRLF + self.body


def text(body, subtype="plain", charset=None, encoding=None, flowed=False, delsp=False, fields=()):
    """A text part. Without a charset: us-ascii where that is enough, else utf-8."""
    body = clean(body) + "\n"
    charset = charset or ("us-ascii" if is_ascii(body) else "utf-8")
    params = f"text/{subtype}; charset={charset}"
    if flowed:
        body = _flow(body, delsp)
        params += "; format=flowed" + ("; delsp=yes" if delsp else "")
    data = body.encode(charset)
    if encoding is None:
        encoding = "7bit" if all(b < 128 for b in data) else "8bit"
    encoded = {"quoted-printable": quoted_printable, "base64": base64_lines}.get(encoding, crlf)(data)
    return Part(params, encoded, encoding, fields)


def _flow(body, delsp):
    """RFC 3676: paragraphs as lines that end in a space; quoted lines keep their depth; stuffing where a line starts badly."""
    out = []
    for paragraph in re.split(r"\n(?=\n)|(?<=\n)\n", body):
        lines = paragraph.split("\n")
        for index, line in enumerate(lines):
            following = lines[index + 1] if index + 1 < len(lines) else ""
            flows = line and following and not line.startswith((">", "-- ", "* ", "- ")) and not following.startswith((">", "-", "*"))
            line = line if line == "-- " else line.rstrip()
            if line.startswith((" ", "From ")):
                line = " " + line
            out.append(line + ("  " if delsp else " ") if flows and line.strip() else line)
    return "\n".join(out)


def multipart(subtype, parts, boundary, params="", preamble=None, bare=False):
    """`bare`: the parts are bytes with their own header (multipart/digest), or with none."""
    pieces = []
    if preamble:
        pieces.append(preamble.encode() + CRLF)
    for part in parts:
        pieces.append(b"--" + boundary.encode() + CRLF + (part if bare else part.to_bytes()) + CRLF)
    pieces.append(b"--" + boundary.encode() + b"--" + CRLF)
    return Part(f'multipart/{subtype}; boundary="{boundary}"{params}', b"".join(pieces))


def attachment(filename, content_type, data, style="auto", disposition="attachment", encoding="base64", fields=()):
    body = base64_lines(data) + CRLF if encoding == "base64" else crlf(data)
    name_style = "word" if style == "word" else "auto"
    kind = content_type + ("" if style == "split" else "; " + parameter("name", filename, name_style))
    where = disposition + "; " + parameter("filename", filename, style)
    return Part(kind, body, encoding, [("Content-Disposition", where), *fields])


def enclosed(message, disposition=None):
    """message/rfc822: a whole message as a part."""
    fields = [("Content-Disposition", disposition)] if disposition else []
    return Part("message/rfc822", message, "8bit" if any(b > 127 for b in message) else "7bit", fields)
