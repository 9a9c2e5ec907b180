"""IMAPClient: IDLE between two sessions, THREAD, SORT, MOVE, CONDSTORE, special uses, UTF-8 names."""

import datetime

import imapclient
import samples
from samples import same


def connect():
    security = samples.SECURITY
    client = imapclient.IMAPClient(samples.HOST, samples.PORT, ssl=security == "tls", ssl_context=samples.tls() if security == "tls" else None)
    client.login(samples.ACCOUNT, samples.PASSWORD)
    return client


def idle_until(client, wanted):
    """Waits within IDLE until each of `wanted` was told; returns all that was."""
    told = []
    for _ in range(20):
        told += client.idle_check(timeout=10)
        if all(any(want(line) for line in told) for want in wanted):
            return told
    raise SystemExit(f"IDLE told only {told!r}")


def main():
    client = connect()
    client.id_({"name": "tour"})
    same(client.has_capability("UIDPLUS"), True, "UIDPLUS")
    assert client.namespace().personal, client.namespace()

    # Mailboxes by their names in Unicode, special uses by their attributes.
    folders = {name: flags for flags, _, name in client.list_folders()}
    for mailbox in samples.MANIFEST["mailboxes"]:
        assert mailbox["name"] in folders, f"{mailbox['name']} is not in {folders}"
    subscribed = {name for _, _, name in client.list_sub_folders()}
    assert {mailbox["name"] for mailbox in samples.MANIFEST["mailboxes"]} <= subscribed, subscribed
    same(client.find_special_folder(b"\\Sent"), "Sent", "the mailbox for what was sent")
    status = client.folder_status("日本語", ["MESSAGES", "UIDNEXT", "UIDVALIDITY", "UNSEEN"])
    same(status[b"MESSAGES"], len(samples.of("日本語")), "STATUS")

    # All messages by hash, with flags, envelope and structure taken apart by the client.
    for mailbox in samples.MANIFEST["mailboxes"]:
        expected = samples.of(mailbox["name"])
        client.select_folder(mailbox["name"], readonly=True)
        uids = client.search()
        fetched = client.fetch(uids, ["BODY.PEEK[]", "FLAGS", "ENVELOPE", "BODYSTRUCTURE", "RFC822.SIZE"]) if uids else {}
        got = [fetched[uid] for uid in sorted(fetched)]
        same([samples.sha256(message[b"BODY[]"]) for message in got], [message["sha256"] for message in expected], mailbox["name"])
        for message, sample in zip(got, expected):
            same({flag.decode() for flag in message[b"FLAGS"]} - {"\\Recent"}, set(sample["flags"]), sample["file"])
            same(message[b"RFC822.SIZE"], sample["size"], sample["file"])
            assert message[b"ENVELOPE"].from_ and message[b"BODYSTRUCTURE"], sample["file"]

    # THREAD and SORT over a real list.
    client.select_folder("Lists/rust", readonly=True)
    uids = client.search()
    threads = client.thread("REFERENCES")
    flat = sorted(uid for thread in threads for uid in flatten(thread))
    same(flat, sorted(uids), "the messages in the threads")
    longest = max(threads, key=lambda thread: len(list(flatten(thread))))
    same(len(list(flatten(longest))), 25, "messages in the longest thread")
    dates = {uid: data[b"ENVELOPE"].date for uid, data in client.fetch(uids, ["ENVELOPE"]).items()}
    by_date = client.sort("DATE")
    same(sorted(by_date), sorted(uids), "the messages that are sorted")
    same(by_date, client.sort(["DATE"]), "sorting twice")
    same(list(reversed(client.sort("REVERSE ARRIVAL"))), client.sort("ARRIVAL"), "sorting backwards")
    assert dates, "no envelopes"
    same(client.sort("SUBJECT", ["SUBJECT", "fsync"]), client.sort("SUBJECT", 'SUBJECT "FSYNC"'), "search is without case")

    # Search in Unicode: the Japanese mails are in ISO-2022-JP, the Russian one in KOI8-R.
    client.select_folder("日本語", readonly=True)
    same(len(client.search(["SUBJECT", "横浜の桜"], charset="UTF-8")), 3, "found by a Japanese subject")
    client.select_folder("INBOX", readonly=True)
    same(len(client.search(["BODY", "Бореалис"], charset="UTF-8")), 1, "found by a Russian word")
    same(len(client.search(["SINCE", datetime.date(2026, 7, 1), "NOT", "SEEN"])), sum(july_unseen(m) for m in samples.of("INBOX")), "unseen in July")

    # IDLE hears another session.
    client.create_folder("Idle")
    client.select_folder("Idle")
    client.idle()
    other = connect()
    other.append("Idle", samples.data("inbox/003.eml"), [imapclient.FLAGGED], datetime.datetime(2026, 7, 1, 12, tzinfo=datetime.timezone.utc))
    idle_until(client, [lambda line: line == (1, b"EXISTS")])
    other.select_folder("Idle")
    uid = other.search()[0]
    other.add_flags(uid, [imapclient.ANSWERED])
    idle_until(client, [lambda line: line[:2] == (1, b"FETCH") and b"\\Answered" in line[2][line[2].index(b"FLAGS") + 1]])
    other.delete_messages(uid)
    other.expunge()
    idle_until(client, [lambda line: line == (1, b"EXPUNGE")])
    client.idle_done()

    # CONDSTORE: what changed since, and nothing else.
    client.select_folder("Reisen & Fotos")
    before = client.folder_status("Reisen & Fotos", ["HIGHESTMODSEQ"])[b"HIGHESTMODSEQ"]
    changed = other_changes(other, "Reisen & Fotos")
    client.noop()
    since = client.fetch(client.search(), ["FLAGS"], modifiers=[f"CHANGEDSINCE {before}"])
    same(sorted(since), changed, "changed since")
    assert all(data[b"MODSEQ"][0] > before for data in since.values()), since
    same(client.search(["MODSEQ", str(before + 1)]), changed, "found by modseq")

    # COPY, MOVE, UID EXPUNGE.
    uids = client.search()
    client.copy(uids[:2], "Idle")
    client.move(uids[2:4], "Idle")
    same(len(client.search()), len(uids) - 2, "left after MOVE")
    client.select_folder("Idle")
    moved = client.fetch(client.search(), ["BODY.PEEK[]"])
    same([samples.sha256(moved[uid][b"BODY[]"]) for uid in sorted(moved)], [m["sha256"] for m in samples.of("Reisen & Fotos")[:4]], "copied and moved")
    client.add_flags(client.search()[:2], [imapclient.DELETED])
    client.uid_expunge(client.search()[:1])
    same(len(client.search()), 3, "left after UID EXPUNGE")
    client.unselect_folder()

    # ENABLE, MULTIAPPEND, names.
    client.rename_folder("Idle", "Ærø & Ö")
    same(client.folder_exists("Ærø & Ö"), True, "renamed")
    if client.has_capability("MULTIAPPEND"):
        client.multiappend("Ærø & Ö", [{"msg": samples.data("inbox/004.eml")}, {"msg": samples.data("inbox/005.eml"), "flags": [imapclient.SEEN]}])
        same(client.select_folder("Ærø & Ö")[b"EXISTS"], 5, "after MULTIAPPEND")
        client.close_folder()
    client.unsubscribe_folder("Ærø & Ö")
    client.delete_folder("Ærø & Ö")
    same(client.folder_exists("Ærø & Ö"), False, "deleted")
    client.logout()

    fresh = connect()
    if fresh.has_capability("QRESYNC"):
        assert b"QRESYNC" in fresh.enable("QRESYNC")
        fresh.select_folder("INBOX")
    fresh.logout()
    other.logout()


def flatten(thread):
    for item in thread:
        if isinstance(item, tuple):
            yield from flatten(item)
        else:
            yield item


def july_unseen(message):
    return "-Jul-2026" in message["internal_date"] and "\\Seen" not in message["flags"]


def other_changes(other, folder):
    other.select_folder(folder)
    uids = other.search()
    other.add_flags(uids[1], ["$Tour"])
    other.add_flags(uids[3], [imapclient.FLAGGED, "$Tour"])
    return [uids[1], uids[3]]


main()
