"""One mail after another: who wrote it, when, in which thread, and where it lies."""

import datetime
import random
import re

from . import mime

DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


class Person:
    def __init__(self, name, address, agent="Thunderbird 128.5", charset="utf-8", form="q", signature=None):
        self.name, self.address, self.agent = name, address, agent
        self.charset, self.form, self.signature = charset, form, signature

    def mailbox(self):
        return f"{mime.phrase(self.name, self.charset, self.form)} <{self.address}>" if self.name else self.address


class Mail:
    """A finished message and what a reply to it must know."""

    def __init__(self, box, flags, when, data, message_id, references, subject, sender, text):
        self.box, self.flags, self.when, self.data = box, flags, when, data
        self.message_id, self.references, self.subject, self.sender, self.text = message_id, references, subject, sender, text


def parse_date(text):
    """`2026-03-02 09:14 +0100`; seconds are added by the post office."""
    return datetime.datetime.strptime(text, "%Y-%m-%d %H:%M %z")


def rfc5322_date(when):
    return f"{DAYS[when.weekday()]}, {when.day} {MONTHS[when.month - 1]} {when:%Y %H:%M:%S %z}"


def imap_date(when):
    return f"{when.day:02}-{MONTHS[when.month - 1]}-{when:%Y %H:%M:%S %z}"


class PostOffice:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.mails = []

    def pick(self, things):
        return things[int(self.random.random() * len(things))]

    def hex(self, digits):
        return "".join(self.pick("0123456789abcdef") for _ in range(digits))

    def boundary(self, agent=""):
        if agent.startswith("Thunderbird"):
            return "------------" + "".join(self.pick("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") for _ in range(24))
        if agent.startswith("Apple"):
            return "Apple-Mail=_" + "-".join(self.hex(n) for n in (8, 4, 4, 4, 12)).upper()
        if agent.startswith("Outlook"):
            return f"----=_NextPart_000_{self.hex(4).upper()}_01DC{self.hex(4).upper()}.{self.hex(8).upper()}"
        return "=-" + self.hex(20)

    def message_id(self, sender, when):
        domain = sender.address.split("@")[1]
        if sender.agent.startswith("Mutt"):
            return f"<{when:%Y%m%d%H%M%S}.{self.hex(6).upper()}@{domain}>"
        if sender.agent.startswith("Outlook"):
            return f"<{self.hex(12)}${self.hex(8)}$@{domain}>"
        return "<" + "-".join(self.hex(n) for n in (8, 4, 4, 4, 12)) + f"@{domain}>"

    def quote(self, parent, lines=None):
        body = parent.text.split("\n-- \n")[0].rstrip().split("\n")
        body = body if lines is None else body[:lines]
        day = f"{DAYS[parent.when.weekday()]}, {parent.when.day} {MONTHS[parent.when.month - 1]} {parent.when:%Y} at {parent.when:%H:%M}"
        return f"On {day}, {parent.sender.name} wrote:\n" + "\n".join((">" + line) if line.startswith(">") else ("> " + line).rstrip() for line in body)

    def mail(
        self, box, sender, to, date, subject, body="", *, cc=(), flags="", reply=None, charset=None, encoding=None, flowed=False,
        delsp=False, html=None, parts=(), content=None, fields=(), received=True, word=None, raw_fields=(), subject_raw=None,
        references=None, to_raw=None, sign=True, mime_version=True,
    ):  # fmt: skip
        """Writes a mail into `box`; gives it back, to be answered.

        `content` replaces the body that is built from `body`, `html` and `parts`. `raw_fields` are (name, bytes): what may not be in a header
        and is. A line `{quote}` or `{quote:3}` in the body becomes the mail that is answered, or its first lines.
        """
        when = parse_date(date) + datetime.timedelta(seconds=int(self.random.random() * 60))
        body = mime.clean(body)
        if reply:
            assert when > reply.when, f"{subject}, {date}: an answer to a mail that was not yet written"
            body = re.sub(r"\{quote(?::(\d+))?\}", lambda m: self.quote(reply, int(m[1]) if m[1] else None), body)
        if sign and sender.signature and content is None:
            body += "\n\n-- \n" + mime.clean(sender.signature)
        charset = charset or (sender.charset if not mime.is_ascii(body) else None)
        if content is None:
            content = mime.text(body, charset=charset, encoding=encoding, flowed=flowed, delsp=delsp)
            if html is not None:
                alternative = mime.text(html, "html", charset=charset or ("utf-8" if not mime.is_ascii(html) else None), encoding=encoding or "quoted-printable")
                content = mime.multipart("alternative", [content, alternative], self.boundary(sender.agent))
            if parts:
                content = mime.multipart("mixed", [content, *parts], self.boundary(sender.agent))
        message_id = self.message_id(sender, when)
        chain = references if references is not None else (reply.references + [reply.message_id] if reply else [])
        word_charset, word_form = word or (sender.charset, sender.form)

        header = []
        if received:
            header += self.received(sender, to, when)
        header.append(("Date", rfc5322_date(when)))
        header.append(("From", sender.mailbox()))
        header.append(("To", to_raw if to_raw is not None else ", ".join(person.mailbox() for person in to)))
        if cc:
            header.append(("Cc", ", ".join(person.mailbox() for person in cc)))
        header.append(("Message-ID", message_id))
        if chain:
            header.append(("In-Reply-To", chain[-1]))
            header.append(("References", " ".join(chain)))
        if subject_raw is None:
            header.append(("Subject", mime.unstructured(subject, word_charset, word_form)))
        header += list(fields)
        if sender.agent:
            header.append((("X-Mailer" if sender.agent.startswith(("Outlook", "Apple")) else "User-Agent"), sender.agent))
        head = "".join(mime.fold(name, value) + "\r\n" for name, value in header).encode()
        if subject_raw is not None:
            head += b"Subject: " + subject_raw + b"\r\n"
        for name, value in raw_fields:
            head += name.encode() + b": " + value + b"\r\n"
        if mime_version:
            head += b"MIME-Version: 1.0\r\n"
            head += "".join(mime.fold(name, value) + "\r\n" for name, value in content.header_fields()).encode()
        data = head + b"\r\n" + content.body
        if not data.endswith(b"\r\n"):
            data += b"\r\n"
        done = Mail(box, flags.split(), when + datetime.timedelta(seconds=2 if received else 0), data, message_id, chain, subject, sender, body)
        self.mails.append(done)
        return done

    def received(self, sender, to, when):
        domain = sender.address.split("@")[1]
        target = to[0].address if to else "dana@example.org"
        number = 10 + int(self.random.random() * 200)
        stamp = rfc5322_date(when + datetime.timedelta(seconds=1))
        return [
            ("Received", f"from mx.{domain} (mx.{domain} [192.0.2.{number}]) by mail.example.org (Postfix) with ESMTPS id {self.hex(10).upper()} for <{target}>; {stamp}"),
            ("Received", f"from [198.51.100.{number}] (unknown [198.51.100.{number}]) by mx.{domain} (Postfix) with ESMTPSA id {self.hex(10).upper()}; {rfc5322_date(when)}"),
        ]  # fmt: skip
