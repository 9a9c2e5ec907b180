#!/usr/bin/env python3
"""Makes the sample mail: `samples/make.py --seed 2007` writes mail/ and manifest.json, always the same for the same seed.

Needs Python's standard library only. `cargo xtask samples` runs it and compares with what is checked in.
"""

import argparse
import hashlib
import json
import pathlib
import shutil

from generator import life, lists, post, work

# The mailboxes in the order in which a client would show them, the folder of each below mail/, and its special use (RFC 6154).
MAILBOXES = [
    ("INBOX", "inbox", None),
    ("Drafts", "drafts", "\\Drafts"),
    ("Sent", "sent", "\\Sent"),
    ("Junk", "junk", "\\Junk"),
    ("Trash", "trash", "\\Trash"),
    ("Archive", None, "\\Archive"),
    ("Archive/2025", "archive-2025", None),
    ("Lists/rust", "lists-rust", None),
    ("Projects/Paquebot", "projects-paquebot", None),
    ("Reisen & Fotos", "reisen-fotos", None),
    ("日本語", "nihongo", None),
]


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seed", type=int, default=2007)
    arguments.add_argument("--to", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent, help="folder to write into")
    options = arguments.parse_args()

    office = post.PostOffice(options.seed)
    for chapter in (work, lists, life):
        chapter.write(office)

    shutil.rmtree(options.to / "mail", ignore_errors=True)
    messages = []
    for name, folder, _ in MAILBOXES:
        in_order = sorted((mail for mail in office.mails if mail.box == name), key=lambda mail: mail.when)
        for number, mail in enumerate(in_order, 1):
            path = pathlib.PurePosixPath("mail", folder, f"{number:03}.eml")
            (options.to / path).parent.mkdir(parents=True, exist_ok=True)
            (options.to / path).write_bytes(mail.data)
            messages.append({
                "file": str(path),
                "mailbox": name,
                "flags": mail.flags,
                "internal_date": post.imap_date(mail.when),
                "size": len(mail.data),
                "sha256": hashlib.sha256(mail.data).hexdigest(),
            })  # fmt: skip
    assert len(messages) == len(office.mails), "a mail lies in a mailbox that the list does not have"
    mailboxes = [{"name": name} | ({"special_use": use} if use else {}) for name, _, use in MAILBOXES]
    manifest = {"seed": options.seed, "mailboxes": mailboxes, "messages": messages}
    (options.to / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(messages)} messages, {sum(m['size'] for m in messages)} octets, in {len(MAILBOXES)} mailboxes")


if __name__ == "__main__":
    main()
