"""An independent client: asks a server what every other is asked, and prints the answers as JSON.

usage: check.py IMAP-PORT LMTP-PORT|0 USER PASSWORD SERVER-PID PREFIX

What servers may say in different ways is brought to one form; what remains must be equal. Then it sends 1,000 STOREs, and
tells what they cost the server: a load generator that costs it more, or less, for the same would measure something else.
"""

import hashlib
import imaplib
import json
import os
import re
import smtplib
import sys
import time
from email.message import EmailMessage

STORES = 1000


def message(number):
    mail = EmailMessage()
    mail["From"] = f"Zoë Sender <sender{number % 7}@example.org>"
    mail["To"] = "Reader <reader@example.org>, other@example.org"
    mail["Subject"] = ("Re: " if number % 3 else "") + f"Matter {number // 3} of Übersee"
    mail["Date"] = f"Mon, {1 + number % 28:02} Jan 2024 10:{number % 60:02}:00 +0100"
    mail["Message-ID"] = f"<{number}@check.example>"
    if number % 3:
        mail["References"] = f"<{number - 1}@check.example>"
    mail.set_content("\n".join(f"line {line} of message {number}" for line in range(5 + number)))
    if number % 4 == 0:
        mail.add_attachment(bytes(range(256)) * number, maintype="application", subtype="octet-stream", filename="a.bin")
        mail.set_boundary(f"=_{number}")
    return mail.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def flat(data):
    """A response with its literals as quoted strings."""
    text = b""
    for part in data:
        if isinstance(part, tuple):
            text += re.sub(rb"\{\d+\}$", b"", part[0]) + b'"' + part[1] + b'"'
        elif part is not None:
            text += part + b"\n"
    return text.decode("utf-8", "replace")


def digest(text):
    return hashlib.sha256(text if isinstance(text, bytes) else text.encode()).hexdigest()[:16]


def server_cpu(root):
    """Seconds of CPU of a process and all below it, children that have ended included."""
    stats = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        stats[int(pid)] = (int(fields[1]), sum(map(int, fields[11:15])))
    family, size = {root}, 0
    while len(family) != size:
        size = len(family)
        family |= {pid for pid, (parent, _) in stats.items() if parent in family}
    return sum(stats[pid][1] for pid in family if pid in stats) / os.sysconf("SC_CLK_TCK")


def main():
    port, lmtp_port, user, password, pid, prefix = sys.argv[1:]
    client = imaplib.IMAP4("127.0.0.1", int(port))
    client.login(user, password)
    mailbox = prefix + "check"
    client.create(mailbox)
    for number in range(60):
        assert client.append(mailbox, None, '"01-Feb-2024 12:00:00 +0000"', message(number))[0] == "OK"
    client.select(mailbox)
    bodies = [part[1] for part in client.fetch("1:*", "(BODY.PEEK[])")[1] if isinstance(part, tuple)]
    answers = {
        "UIDs": client.uid("SEARCH", "ALL")[1][0].decode(),
        "bodies": digest(b"".join(bodies)),
        "sizes": flat(client.fetch("1:*", "(RFC822.SIZE)")[1]),
        "ENVELOPE": flat(client.fetch("1:*", "(ENVELOPE)")[1]).upper(),
        "SEARCH SUBJECT": flat(client.search(None, "SUBJECT", "matter 1")[1]),
        "SEARCH BODY": flat(client.search(None, "BODY", '"of message 17"')[1]),
        "SEARCH SENTSINCE": flat(client.search(None, "SENTSINCE", "20-Jan-2024")[1]),
    }
    if "SORT" in client.capabilities:
        answers["SORT"] = flat(client.sort("(SUBJECT)", "UTF-8", "ALL")[1])
        answers["THREAD"] = flat(client.thread("REFERENCES", "UTF-8", "ALL")[1])
    start, cpu = time.monotonic(), server_cpu(int(pid))
    for number in range(STORES):
        client.store(str(1 + number % 60), "-FLAGS.SILENT" if number // 60 % 2 else "+FLAGS.SILENT", "(\\Answered)")
    cost = server_cpu(int(pid)) - cpu
    seconds = time.monotonic() - start
    answers["FLAGS"] = flat(client.fetch("1:*", "(FLAGS)")[1]).replace("\\Recent", "").replace(" )", ")").replace("( ", "(")
    if int(lmtp_port):
        with smtplib.LMTP("127.0.0.1", int(lmtp_port)) as lmtp:
            lmtp.sendmail("sender@example.org", [user], message(7))
        client.select("INBOX")
        found = client.search(None, "HEADER", "Message-ID", "7@check.example")[1][0].split()
        answers["LMTP"] = str(len(found))
    client.logout()
    result = {name: value if len(value) < 40 else digest(value) for name, value in answers.items()}
    print(json.dumps({"answers": result, "store_us": seconds / STORES * 1e6, "store_cpu_us": cost / STORES * 1e6}))


main()
