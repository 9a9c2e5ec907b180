"""Lists/rust: a mailing list with threads, footers, a digest and one very long thread."""

from . import mime
from .people import *

BOX = "Lists/rust"
FOOTER = "\n\n_______________________________________________\nrust-mail mailing list -- rust-mail@lists.example.net\nTo unsubscribe send an email to rust-mail-leave@lists.example.net"


def write(post):
    parsing(post)
    fsync(post)
    time_zones(post)
    long_thread(post)
    announcement(post)
    digest(post)


def post_to_list(post, sender, date, subject, body, **more):
    fields = [
        ("Sender", "rust-mail-bounces@lists.example.net"), ("List-Id", "Mail in Rust <rust-mail.lists.example.net>"), ("List-Post", "<mailto:rust-mail@lists.example.net>"),
        ("List-Help", "<mailto:rust-mail-request@lists.example.net?subject=help>"), ("List-Unsubscribe", "<mailto:rust-mail-leave@lists.example.net>"),
        ("List-Archive", "<https://lists.example.net/archives/list/rust-mail/>"), ("Precedence", "list"), ("X-Mailman-Version", "3.3.9"), *more.pop("fields", []),
    ]  # fmt: skip
    body = mime.clean(body)
    if not more.pop("bare", False):
        signature = f"\n\n-- \n{mime.clean(sender.signature)}" if sender.signature else ""
        body += signature + FOOTER
    subject = subject if "[rust-mail]" in subject else (f"Re: [rust-mail] {subject[4:]}" if subject.startswith("Re: ") else f"[rust-mail] {subject}")
    return post.mail(BOX, sender, [RUST], date, subject, body, fields=fields, sign=False, **more)


def parsing(post):
    start = post_to_list(post, GRETA, "2026-01-12 20:11 +0100", "Parsing dates that people actually send", """
        Hello,

        I am writing a parser for the Date field and want to be liberal. So
        far I accept two-digit years, missing seconds, "GMT", "UT" and the
        military letters. From my own archive (410,000 messages) these still
        fail:

            Mon, 7 Jan 2002 19:31:02 W. Europe Standard Time
            Thu, 00 Jan 1970 00:00:00 +0000
            2004-03-11 10:02
            Sat, 30 Feb 2013 12:00:00 +0100

        Does anybody have worse ones?

        Greta
        """, flags="\\Seen")  # fmt: skip
    a = post_to_list(post, NILS, "2026-01-12 21:40 +0200", "Re: Parsing dates that people actually send", """
        {quote:5}

        My worst is not a date but a place:

            Date: Sunday, in the kitchen

        It was sent by a person, not by a program, with telnet. I keep the
        message as a reminder that the grammar describes what we hope for.
        """, reply=start, flags="\\Seen \\Flagged")  # fmt: skip
    b = post_to_list(post, TOMASZ, "2026-01-13 08:02 +0100", "Re: Parsing dates that people actually send", """
        > Does anybody have worse ones?

        Months in the sender's language. "śr., 3 lut 2010" is Polish for a
        Wednesday. I gave up and use INTERNALDATE when the field is not
        English.
        """, reply=start, encoding="quoted-printable")  # fmt: skip
    post_to_list(post, GRETA, "2026-01-13 19:55 +0100", "Re: Parsing dates that people actually send", """
        {quote}

        INTERNALDATE as the fallback is also what the SORT extension asks
        for, so at least we are wrong together with everybody else.
        """, reply=b)  # fmt: skip
    post_to_list(post, DANA, "2026-01-13 22:14 +0100", "Re: Parsing dates that people actually send", """
        {quote:4}

        May I quote the kitchen in our test suite? With the year 1994, if you
        have it.
        """, reply=a, received=False, flags="\\Seen")  # fmt: skip


def fsync(post):
    start = post_to_list(post, DANA, "2026-02-03 18:22 +0100", "What do you do when fsync fails?", """
        Hi all,

        a question about a thing that hopefully never happens. write() went
        well, fdatasync() says EIO. As I understand it, the kernel may have
        dropped the dirty pages and marked them clean, so that a second
        fdatasync() would succeed while the data is gone.

        So calling it again is wrong. What do you do instead: abort the
        process? Make the store read-only? Write everything again somewhere
        else?
        """, received=False, flags="\\Seen")  # fmt: skip
    a = post_to_list(post, NILS, "2026-02-03 20:05 +0200", "Re: What do you do when fsync fails?", """
        Abort. Then recover from what is on the disk, as after a power cut.
        It is the one code path that you have tested.
        """, reply=start)  # fmt: skip
    b = post_to_list(post, EVE, "2026-02-03 19:48 +0000", "Re: What do you do when fsync fails?", """
        > Abort.

        With 5,000 sessions connected? They all reconnect at once and the
        disk is still broken.

        We refuse writes with a clear reason and go on reading. An operator
        looks at it. Nothing is acknowledged until then.
        """, reply=a, flags="\\Flagged")  # fmt: skip
    c = post_to_list(post, NILS, "2026-02-03 22:30 +0200", "Re: What do you do when fsync fails?", """
        {quote:4}

        Reading what? Your page cache holds pages that the disk does not
        have. You would serve mail that is gone after the next reboot.
        """, reply=b)  # fmt: skip
    d = post_to_list(post, EVE, "2026-02-03 21:02 +0000", "Re: What do you do when fsync fails?", """
        {quote}

        Fair. Then: cut the log at the last flush that did succeed, open the
        file again, serve from that. It is an abort without the reconnects.
        """, reply=c, flags="\\Seen")  # fmt: skip
    post_to_list(post, GRETA, "2026-02-04 07:45 +0100", "Re: What do you do when fsync fails?", """
        > It is an abort without the reconnects.

        And with a second code path that nobody has tested. :-)

        I side with Nils, but would let the other sessions finish what they
        read. Five seconds, then exit.
        """, reply=d)  # fmt: skip


def time_zones(post):
    start = post_to_list(post, KEN, "2026-02-20 10:12 +0900", "Charset of a header without an encoded word", """
        Hello from Yokohama,

        some of our older mail has a raw ISO-2022-JP subject: ESC $ B and so
        on, without =?...?=. It is 7 bit, so every server takes it, and then
        shows "$B$3$s".

        Do you try to guess? Or leave it?
        """, charset="us-ascii", flags="\\Seen")  # fmt: skip
    post_to_list(post, TOMASZ, "2026-02-20 09:31 +0100", "Re: Charset of a header without an encoded word", """
        {quote:3}

        The server must leave it, ENVELOPE gives what is stored. For search I
        would guess: ESC $ is a very strong sign.
        """, reply=start)  # fmt: skip
    post_to_list(post, SOREN, "2026-02-20 11:00 +0100", "Re: Charset of a header without an encoded word", """
        We guess for search only, and in this order: UTF-8 if it is valid,
        ISO-2022-JP if there is an escape, else windows-1252. Blåbærgrød finds
        blåbærgrød whichever way it was sent.
        """, reply=start, encoding="quoted-printable")  # fmt: skip


def long_thread(post):
    voices = [GRETA, NILS, EVE, TOMASZ, SOREN, AMELIE]
    lines = [
        "Spaces, then. The compiler does not mind and neither do I.", "A tab is one octet. At 4.2 KB of source a day this matters over a career.",
        "Nobody has measured it. I will measure it.", "I measured it: 0.3 percent of a checkout, before compression.", "After compression?",
        "After compression: minus 11 octets. Tabs lose.", "You compressed with a window of 32 KB. Try 8 MB.", "With 8 MB it is plus 4 octets.", "So it is settled.",
        "Nothing is settled. What about terminals of 40 columns?", "Who has a terminal of 40 columns?", "The bridge of the Borealis has one. It shows the tide and, on request, mail.",
        "I withdraw my remark about terminals.", "rustfmt exists. Its default exists. Our opinions are a hobby.", "A hobby is what this list is for.", "Could we return to References fields?",
        "This thread is a test of References fields. We are at 17.", "The RFC advises to keep the first and the last ones when it gets long.", "It advises. My client keeps all.", "Mine too. See you at 40.",
        "I have nothing to say, but I want to see what happens at 998 octets.", "You must fold before 998. The limit is for a line, not for a field.", "Then nothing happens.", "Nothing is the best thing that can happen.",
    ]  # fmt: skip
    mail = post_to_list(post, GRETA, "2026-03-28 09:00 +0100", "tabs or spaces in examples on the wiki?", """
        A small thing: the examples on the wiki mix tabs and spaces. Shall we
        settle on one?
        """)  # fmt: skip
    early = []
    for number in range(1, 17):
        # The part of the thread that was written before we subscribed: known by its References only.
        early.append(f"<wiki-{number:03}.{post.hex(16)}@lists.example.net>")
    mail.references = early
    for index, line in enumerate(lines):
        day, hour = 28 + index // 8, 10 + index % 8
        mail = post_to_list(post, voices[(index * 5 + 1) % len(voices)], f"2026-03-{day} {hour:02}:{(index * 13) % 60:02} +0100", "Re: tabs or spaces in examples on the wiki?", "{quote:1}\n\n" + line, reply=mail, flags="\\Seen" if index < 9 else "")


def announcement(post):
    post_to_list(post, NILS, "2026-04-14 16:00 +0300", "[ANN] framewright 0.9", """
        framewright 0.9 is out. It splits an IMAP byte stream into lines and
        literals, and does nothing else.

        Since 0.8:

          * a literal of 4,294,967,296 octets is refused before it is read
          * `Frames::next` no longer copies a line that is complete
          * the fuzz target found a quadratic scan; it is linear now
          * minimum Rust is 1.85

        Thanks to Greta for the fuzzing and to Priya for the bug report from
        a ship.
        """, content=signed(post), bare=True)  # fmt: skip


def signed(post):
    body = mime.text("""
        framewright 0.9 is out. It splits an IMAP byte stream into lines and
        literals, and does nothing else.

        Since 0.8:

          * a literal of 4,294,967,296 octets is refused before it is read
          * `Frames::next` no longer copies a line that is complete
          * the fuzz target found a quadratic scan; it is linear now
          * minimum Rust is 1.85
        """, charset="us-ascii")  # fmt: skip
    lines = "\n".join("".join(post.pick("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") for _ in range(64)) for _ in range(6))
    armour = mime.Part('application/pgp-signature; name="signature.asc"', mime.crlf(f"-----BEGIN PGP SIGNATURE-----\n\n{lines}\n=Qx7b\n-----END PGP SIGNATURE-----\n".encode()), None, [("Content-Description", "OpenPGP digital signature")])
    return mime.multipart("signed", [body, armour], post.boundary(), '; micalg=pgp-sha256; protocol="application/pgp-signature"')


def digest(post):
    chosen = [mail for mail in post.mails if mail.box == BOX and "fsync" in mail.subject][:4]
    parts = [b"\r\n" + mail.data for mail in chosen]
    inner = mime.multipart("digest", parts, post.boundary(), bare=True)
    topics = "\n".join(f"   {number}. {mail.subject} ({mail.sender.name})" for number, mail in enumerate(chosen, 1))
    whole = mime.multipart("mixed", [
        mime.text(f"Send rust-mail mailing list submissions to\n        rust-mail@lists.example.net\n\nToday's Topics:\n\n{topics}\n", charset="us-ascii", fields=[("Content-Description", "rust-mail Digest, Vol 7, Issue 3")]),
        inner,
        mime.text("Subject: Digest Footer" + FOOTER, charset="us-ascii", fields=[("Content-Description", "Digest Footer")]),
    ], post.boundary())  # fmt: skip
    post.mail(BOX, RUST, [RUST], "2026-02-04 12:00 +0000", "rust-mail Digest, Vol 7, Issue 3", "", content=whole, fields=[("Reply-To", "rust-mail@lists.example.net"), ("List-Id", "Mail in Rust <rust-mail.lists.example.net>"), ("Precedence", "list")])
