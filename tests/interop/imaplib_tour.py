"""Every command that imaplib has, once, with what it must come to."""

import base64
import imaplib
import re

import samples
from samples import same


def connect():
    if samples.SECURITY == "tls":
        return imaplib.IMAP4_SSL(samples.HOST, samples.PORT, ssl_context=samples.tls())
    connection = imaplib.IMAP4(samples.HOST, samples.PORT)
    if samples.SECURITY == "starttls":
        same(connection.starttls(samples.tls())[0], "OK", "STARTTLS")
    return connection


def ok(answer, what):
    same(answer[0], "OK", what)
    return answer[1]


def mailbox_name(name):
    """Modified UTF-7, quoted."""
    out, wide = "", ""

    def flush():
        return "&" + base64.b64encode(wide.encode("utf-16-be")).decode().rstrip("=").replace("/", ",") + "-" if wide else ""

    for char in name:
        if " " <= char <= "~":
            out, wide = out + flush() + ("&-" if char == "&" else char), ""
        else:
            wide += char
    return '"' + out + flush() + '"'


def literals(fetched):
    return [part[1] for part in fetched if isinstance(part, tuple)]


def main():
    m = connect()
    assert "IMAP4REV1" in m.capabilities, m.capabilities
    ok(m.login(samples.ACCOUNT, samples.PASSWORD), "LOGIN")
    same(m.state, "AUTH", "the state after LOGIN")
    ok(m.noop(), "NOOP")
    ok(m.namespace(), "NAMESPACE")

    # Mailboxes.
    listed = b"\n".join(ok(m.list(), "LIST"))
    for mailbox in samples.MANIFEST["mailboxes"]:
        # A server may send a name as an atom, without the quotes.
        bare = mailbox_name(mailbox["name"]).strip('"').encode()
        assert re.search(rb'[ "]' + re.escape(bare) + rb'"?$', listed, re.MULTILINE), f"{bare!r} is not in {listed!r}"
    subscribed = b"\n".join(ok(m.lsub(), "LSUB"))
    assert mailbox_name("日本語").strip('"').encode() in subscribed, subscribed
    status = ok(m.status("INBOX", "(MESSAGES UNSEEN UIDNEXT UIDVALIDITY)"), "STATUS")[0]
    inbox = samples.of("INBOX")
    assert b"MESSAGES %d" % len(inbox) in status, status
    assert b"UNSEEN %d" % sum("\\Seen" not in message["flags"] for message in inbox) in status, status

    # Every message of every mailbox, by its hash; flags and dates too.
    total = 0
    for mailbox in samples.MANIFEST["mailboxes"]:
        expected = samples.of(mailbox["name"])
        count = int(ok(m.select(mailbox_name(mailbox["name"]), readonly=True), "EXAMINE")[0])
        same(count, len(expected), f"messages in {mailbox['name']}")
        if not expected:
            continue
        fetched = literals(ok(m.fetch("1:*", "(BODY.PEEK[])"), "FETCH"))
        same([samples.sha256(octets) for octets in fetched], [message["sha256"] for message in expected], mailbox["name"])
        for number, message in enumerate(expected, 1):
            line = ok(m.fetch(str(number), "(FLAGS INTERNALDATE RFC822.SIZE)"), "FETCH")[0]
            same({flag.decode() for flag in imaplib.ParseFlags(line)} - {"\\Recent"}, set(message["flags"]), message["file"])
            assert b"RFC822.SIZE %d" % message["size"] in line, line
            when = imaplib.Internaldate2tuple(line)
            same(when, imaplib.Internaldate2tuple(f'1 (INTERNALDATE "{message["internal_date"]}")'.encode()), message["file"])
            total += 1
    same(total, len(samples.MANIFEST["messages"]), "messages in all")

    # A mailbox of our own.
    ok(m.create("Tour/One"), "CREATE")
    ok(m.subscribe("Tour/One"), "SUBSCRIBE")
    ok(m.rename("Tour/One", "Tour/Two"), "RENAME")
    ok(m.unsubscribe("Tour/One"), "UNSUBSCRIBE")
    first, second = samples.data("inbox/001.eml"), samples.data("nihongo/001.eml")
    appended = ok(m.append("Tour/Two", r"(\Seen $Tour)", '"03-Jun-2026 10:00:00 +0200"', first), "APPEND")[0]
    assert b"APPENDUID" in appended, appended
    ok(m.append("Tour/Two", None, None, second), "APPEND")
    same(ok(m.select("Tour/Two"), "SELECT"), [b"2"], "messages after APPEND")

    # Parts, headers, structure.
    header, _, _ = first.partition(b"\r\n\r\n")
    same(literals(ok(m.fetch("1", "(BODY.PEEK[HEADER])"), "FETCH")), [header + b"\r\n\r\n"], "the header")
    same(literals(ok(m.fetch("1", "(RFC822.HEADER)"), "FETCH")), [header + b"\r\n\r\n"], "the header by its old name")
    same(literals(ok(m.fetch("1", "(BODY.PEEK[]<10.20>)"), "FETCH")), [first[10:30]], "20 octets")
    structure = ok(m.fetch("1:2", "(ENVELOPE BODYSTRUCTURE)"), "FETCH")
    assert b"queue is 1,240 messages" in b"".join(part if isinstance(part, bytes) else part[0] + part[1] for part in structure), structure

    # Search, sort, thread.
    same(ok(m.search(None, "SUBJECT", '"queue"'), "SEARCH"), [b"1"], "by subject")
    m.literal = "横浜".encode()
    same(ok(m.search("UTF-8", "TEXT"), "SEARCH"), [b"2"], "by a text in ISO-2022-JP")
    same(ok(m.sort("(REVERSE ARRIVAL)", "UTF-8", "ALL"), "SORT"), [b"2 1"], "sorted")
    threads = ok(m.thread("REFERENCES", "UTF-8", "ALL"), "THREAD")
    same(sorted(re.findall(rb"\d+", threads[0])), [b"1", b"2"], "threaded")

    # Flags, copies, expunging.
    ok(m.store("1", "+FLAGS", r"(\Flagged)"), "STORE")
    ok(m.store("1", "-FLAGS.SILENT", r"(\Seen)"), "STORE")
    flags = imaplib.ParseFlags(ok(m.fetch("1", "(FLAGS)"), "FETCH")[0])
    same({flag for flag in flags} - {b"\\Recent"}, {b"\\Flagged", b"$Tour"}, "the flags")
    ok(m.copy("1:2", "Trash"), "COPY")
    uid = int(re.search(rb"UID (\d+)", ok(m.fetch("2", "(UID)"), "FETCH")[0])[1])
    ok(m.uid("STORE", str(uid), "+FLAGS", r"(\Deleted)"), "UID STORE")
    same(ok(m.expunge(), "EXPUNGE"), [b"2"], "expunged")
    ok(m.uid("MOVE", "1:*", "Archive"), "UID MOVE")
    ok(m.check(), "CHECK")
    ok(m.close(), "CLOSE")
    same(ok(m.select("Archive"), "SELECT"), [b"1"], "moved")
    same([samples.sha256(octets) for octets in literals(ok(m.fetch("1", "(BODY.PEEK[])"), "FETCH"))], [samples.sha256(first)], "the moved message")
    ok(m.unselect(), "UNSELECT")
    ok(m.delete("Tour/Two"), "DELETE")
    same(m.select("Tour/Two")[0], "NO", "SELECT of what is deleted")
    if "ENABLE" in m.capabilities:
        ok(m.enable("CONDSTORE"), "ENABLE")

    ok(m.select("INBOX"), "SELECT")
    # What can't be done gets NO, what can't be parsed BAD; the session goes on.
    same(m.create("INBOX")[0], "NO", "CREATE INBOX")
    same(m.status("Nowhere", "(MESSAGES)")[0], "NO", "STATUS of what is not there")
    try:
        m.search(None, "NONSENSE")
        raise SystemExit("a search for nonsense was taken")
    except imaplib.IMAP4.error as error:
        assert "BAD" in str(error), error
    same(m.logout()[0], "BYE", "LOGOUT")

    # AUTHENTICATE, and a wrong password.
    m = connect()
    ok(m.authenticate("PLAIN", lambda _: f"\0{samples.ACCOUNT}\0{samples.PASSWORD}".encode()), "AUTHENTICATE")
    m.logout()
    m = connect()
    try:
        m.login(samples.ACCOUNT, "wrong")
        raise SystemExit("a wrong password was taken")
    except imaplib.IMAP4.error as error:
        assert "AUTHENTICATIONFAILED" in str(error), error
    m.logout()


main()
