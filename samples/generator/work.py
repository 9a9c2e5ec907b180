"""INBOX, Sent, Drafts and Projects/Paquebot: a small ferry company moves its mail."""

from . import files, mime
from .people import *
from .post import Person

INBOX, SENT, DRAFTS, PROJECT = "INBOX", "Sent", "Drafts", "Projects/Paquebot"


def write(post):
    migration(post)
    outage(post)
    calendar(post)
    budget(post)
    errands(post)
    machines(post)
    drafts(post)


def migration(post):
    first = post.mail(PROJECT, JONAS, [DANA], "2026-03-02 09:14 +0100", "Mail move: what we actually have", """
        Dana,

        I went through the old machine over the weekend. In numbers:

          142 accounts, 97 of them used in the last month
          311 GB of mail, the largest mailbox is the booking office (38 GB,
          412,000 messages, mostly attachments of the port agents)
          11 shared mailboxes, all of them by a symlink someone made in 2014

        The thing that keeps me awake is not the size. It is that the whole
        of it stands on one array in one cellar, and that the cellar was wet
        twice last year.

        Can we talk before Thursday?
        """, cc=[PRIYA], flags="\\Seen \\Flagged")  # fmt: skip
    second = post.mail(SENT, DANA, [JONAS], "2026-03-02 10:02 +0100", "Re: Mail move: what we actually have", """
        {quote:8}

        Thanks, that is better than the list I had. Two questions:

        1. Is the booking office one mailbox, or one INBOX with folders? It
           matters for how long the first sync takes on their side.
        2. Who made the symlinks, and does that person still work here?

        Thursday is fine, 10:30, bring coffee.
        """, cc=[PRIYA], reply=first, flags="\\Seen", received=False)  # fmt: skip
    third = post.mail(PROJECT, JONAS, [DANA], "2026-03-02 10:40 +0100", "Re: Mail move: what we actually have", """
        > 1. Is the booking office one mailbox, or one INBOX with folders?

        One INBOX. 412,000 messages in it. They search by scrolling.

        > 2. Who made the symlinks, and does that person still work here?

        You did, according to the ticket.
        """, cc=[PRIYA], reply=second, flags="\\Seen \\Answered")  # fmt: skip
    post.mail(PROJECT, PRIYA, [JONAS, DANA], "2026-03-02 11:15 +0100", "Re: Mail move: what we actually have", """
        I would like to add the phones to the list. The crews read mail on
        the bridge over a link that is up for perhaps ten minutes at a time.
        If the new server makes their clients download everything again (new
        UIDVALIDITY, I think it is called?) they will be without mail for a
        week, and I will be the one who hears about it.

        So: UIDs must survive the move. Please put that in the requirements,
        in bold.

        Priya
        """, reply=third, flags="\\Seen \\Flagged $Forwarded", flowed=True)  # fmt: skip

    table = "account;messages;megabytes;last_login\nbooking;412318;38122;2026-03-01\ncrew-aurora;20118;1410;2026-02-28\ncrew-borealis;18992;1377;2026-03-01\nport-agents;98310;12050;2026-03-01\nchandler;4410;212;2025-11-17\n"
    plan = post.mail(PROJECT, AMELIE, [DANA, JONAS, PRIYA], "2026-03-05 16:20 +0100", "Plan and the table from today", """
        Hello all,

        as promised, the table from this morning and the plan as a PDF. The
        plan has one page on purpose. If it does not fit on a page we do not
        understand it yet.

        Amélie
        """, flags="\\Seen", encoding="quoted-printable", parts=[
            mime.attachment("accounts.csv", "text/csv; charset=utf-8", table.encode()),
            mime.attachment("Plan für den Umzug – März 2026.pdf", "application/pdf", files.pdf(["Moving the mail, in four steps", "", "1. A second machine, empty, beside the old one.", "2. Import with UIDs kept; follow until nothing is left to follow.", "3. One ship first (Aurora), for a week.", "4. Everybody else, on a Tuesday morning."])),
        ])  # fmt: skip
    answer = post.mail(SENT, DANA, [AMELIE], "2026-03-05 17:01 +0100", "Re: Plan and the table from today", """
        {quote:5}

        One page is good. I would swap 3 and 4 only over my dead body, so
        leave them. What is missing is the way back: if Aurora hates it,
        what do we do on the Wednesday?
        """, cc=[JONAS, PRIYA], reply=plan, flags="\\Seen", received=False)  # fmt: skip
    post.mail(PROJECT, AMELIE, [DANA], "2026-03-06 08:47 +0100", "Re: Plan and the table from today", """
        The way back is the old machine: we keep delivering to both for the
        week. I tested it with my own mailbox last night. The only thing that
        went wrong was a folder called "Été 2024 & co", because of the "&".
        It is fixed, and it is now my favourite test case.

        A.
        """, reply=answer, flags="\\Seen", charset="utf-8", encoding="8bit", cc=[JONAS])  # fmt: skip
    sketch = post.mail(PROJECT, AMELIE, [DANA], "2026-03-09 13:30 +0100", "Status page, first sketch", """
        Two pictures, inline. Left as it is now, right as I would like it.

        [image: now.png]
        [image: then.png]
        """, flags="\\Seen", content=sketch_content(post))  # fmt: skip
    post.mail(PROJECT, DANA, [AMELIE], "2026-03-09 14:05 +0100", "Re: Status page, first sketch", """
        {quote:1}

        The right one, without hesitation. Could the red be less red? Our
        captains take red for a reason to call me.
        """, reply=sketch, flags="\\Seen", received=False)  # fmt: skip
    post.mail(PROJECT, TOMASZ, [DANA], "2026-03-11 21:12 +0100", "Umlaute, Ogonki i inne", """
        Cześć Dana,

        Amélie asked me to send you mail with as many letters as I can find
        on my keyboard, so here you are: zażółć gęślą jaźń. If the ż in the
        subject of your answer is still a ż, I will believe in your project.

        Pozdrawiam
        Tomasz
        """, flags="\\Seen \\Answered", encoding="base64")  # fmt: skip
    disks = post.mail(PROJECT, JONAS, [DANA, PRIYA], "2026-03-17 07:58 +0100", "Numbers from the test machine", """
        Ran the import over night. Sorted by what surprised me most:

        - 311 GB became 204 GB. The port agents send the same 12 MB tide
          table to nine people every Monday.
        - 4 messages have no Date at all, 17 have two.
        - One message is dated 1970, three are dated 2038.
        - 61 messages claim a charset that does not exist ("x-unknown",
          "iso-8859-1-windows", "default").

        None of them was refused, all of them read as before. I compared the
        hashes of every body, it took 50 minutes and found nothing.

            accounts   messages    bytes          differences
                 142    1842007    219,210,338,112          0

        """, flags="\\Seen \\Flagged", cc=[AMELIE])  # fmt: skip
    post.mail(PROJECT, PRIYA, [JONAS, DANA], "2026-03-17 09:30 +0100", "Re: Numbers from the test machine", """
        {quote:4}

        Nothing is my favourite result. Aurora is in port on the 24th from
        06:00 to 14:30. I told the captain that his mail will be "the same
        but somewhere else", and he said that is what they told him about the
        new coffee machine.
        """, reply=disks, flags="\\Seen")  # fmt: skip
    inner = next(mail for mail in post.mails if mail.subject == "Numbers from the test machine")
    forward = mime.multipart("mixed", [
        mime.text("See below. Could you check with the port agents whether they can send\na link instead of the 12 MB? I do not want to be the one who tells them.\n\nDana", charset="us-ascii"),
        mime.enclosed(inner.data, 'attachment; filename="Numbers from the test machine.eml"'),
    ], post.boundary())  # fmt: skip
    post.mail(SENT, DANA, [EVE], "2026-03-17 10:11 +0100", "Fwd: Numbers from the test machine", "", content=forward, flags="\\Seen", received=False)
    post.mail(PROJECT, EVE, [DANA], "2026-03-18 12:44 +0000", "the tide table", """
        Talked to them. They were not aware that anybody read it at all.
        From April there is a link, and the PDF goes to the harbour master
        only.

        Eve
        """, flags="\\Seen")  # fmt: skip
    post.mail(PROJECT, JONAS, [EVERYONE], "2026-03-24 15:02 +0100", "Aurora is done", """
        Crew Aurora reads its mail from the new server since 07:10.

        What they noticed: nothing. The second officer asked when we would
        begin. Sync on the bridge tablet after the switch: 41 KB, no message
        downloaded twice.

        Next is Borealis, on the 31st. After that the offices.
        """, cc=[DANA], flags="\\Flagged", fields=[("Importance", "high"), ("X-Priority", "1 (Highest)")])  # fmt: skip


def sketch_content(post):
    now, then = files.png("harbour", shift=3), files.png("sunset", shift=11)
    html = """
        <html><head><style>td { padding: 8px; }</style></head><body>
        <p>Two pictures, inline. Left as it is now, right as I would like it.</p>
        <table><tr><td><img src="cid:now.2026@example.org" alt="now"></td>
        <td><img src="cid:then.2026@example.org" alt="then"></td></tr></table>
        <p>Amélie</p></body></html>
        """
    plain = "Two pictures, inline. Left as it is now, right as I would like it.\n\n[image: now.png]\n[image: then.png]\n\nAmélie"
    related = mime.multipart("related", [
        mime.text(html, "html", encoding="quoted-printable"),
        mime.attachment("now.png", "image/png", now, disposition="inline", fields=[("Content-ID", "<now.2026@example.org>")]),
        mime.attachment("then.png", "image/png", then, disposition="inline", fields=[("Content-ID", "<then.2026@example.org>")]),
    ], post.boundary(AMELIE.agent), '; type="text/html"')  # fmt: skip
    return mime.multipart("alternative", [mime.text(plain, encoding="quoted-printable"), related], post.boundary(AMELIE.agent))


def outage(post):
    alarm = post.mail(INBOX, ROOT, [DANA], "2026-05-11 03:12 +0200", "[alert] mx2: queue is 1,240 messages and growing", """
        host        mx2.example.org
        check       postfix-queue
        state       CRITICAL since 2026-05-11 03:07:41
        value       1240 (warn 200, crit 1000)
        runbook     https://wiki.example.org/runbooks/mail-queue

        Top senders
          booking@example.org              1102
          no-reply@tickets.example           71
          crew-borealis@example.org          12
        """, flags="\\Seen", fields=[("Auto-Submitted", "auto-generated"), ("X-Alert-State", "critical")])  # fmt: skip
    post.mail(INBOX, ROOT, [DANA], "2026-05-11 04:41 +0200", "[ok] mx2: queue is 3 messages", """
        host        mx2.example.org
        check       postfix-queue
        state       OK since 2026-05-11 04:39:02 (was CRITICAL for 1h 31m)
        value       3
        """, flags="\\Seen", references=[alarm.message_id], fields=[("Auto-Submitted", "auto-generated"), ("X-Alert-State", "ok")])  # fmt: skip
    ask = post.mail(INBOX, PRIYA, [DANA], "2026-05-11 08:05 +0200", "This night", """
        Morning. The booking office says that confirmations arrived up to an
        hour and a half late. Were any lost? They want to know by noon,
        because of the refunds.
        """, flags="\\Seen \\Answered")  # fmt: skip
    told = post.mail(SENT, DANA, [PRIYA], "2026-05-11 08:22 +0200", "Re: This night", """
        {quote}

        None were lost. They waited in the queue of mx2 because the booking
        system sent all of April's invoices again at 03:00, with a 2 MB logo
        in each. I have the log of every one of the 1,102, with the time at
        which it was delivered; attached.
        """, reply=ask, flags="\\Seen", received=False, parts=[mime.attachment("delivered.csv", "text/csv", delivered_log(post).encode())])  # fmt: skip
    post.mail(INBOX, PRIYA, [DANA], "2026-05-11 08:31 +0200", "Re: This night", """
        "None were lost" is the sentence I needed. Thank you. I will take the
        logo up with them.
        """, reply=told, flags="\\Seen")  # fmt: skip
    original = b"Return-Path: <dana@example.org>\r\nDate: Tue, 12 May 2026 09:30:11 +0200\r\nFrom: Dana Marlow <dana@example.org>\r\nTo: logo@printshop.example\r\nMessage-ID: <a5b7c0de-7712-4a1e-9a55-0f1e2d3c4b5a@example.org>\r\nSubject: The logo in your invoices\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n"
    report = mime.multipart("report", [
        mime.text("""
            This is the mail system at host mail.example.org.

            I'm sorry to have to inform you that your message could not
            be delivered to one or more recipients. It's attached below.

            <logo@printshop.example>: host mx.printshop.example[192.0.2.77] said: 550
                5.1.1 <logo@printshop.example>: Recipient address rejected: User unknown
                in virtual mailbox table (in reply to RCPT TO command)
            """, charset="us-ascii", fields=[("Content-Description", "Notification")]),
        mime.Part("message/delivery-status", mime.crlf(b"Reporting-MTA: dns; mail.example.org\nX-Postfix-Queue-ID: 4ZpQ1x2Jz9\nX-Postfix-Sender: rfc822; dana@example.org\nArrival-Date: Tue, 12 May 2026 09:30:12 +0200 (CEST)\n\nFinal-Recipient: rfc822; logo@printshop.example\nOriginal-Recipient: rfc822;logo@printshop.example\nAction: failed\nStatus: 5.1.1\nRemote-MTA: dns; mx.printshop.example\nDiagnostic-Code: smtp; 550 5.1.1 <logo@printshop.example>: Recipient address\n    rejected: User unknown in virtual mailbox table\n"), None, [("Content-Description", "Delivery report")]),
        mime.Part("text/rfc822-headers", original, None, [("Content-Description", "Undelivered Message Headers")]),
    ], "4ZpQ1x2Jz9.1778571013/mail.example.org", "; report-type=delivery-status", "This is a MIME-encapsulated message.")  # fmt: skip
    post.mail(INBOX, MAILER, [DANA], "2026-05-12 09:30 +0200", "Undelivered Mail Returned to Sender", "", content=report, received=False, fields=[("Auto-Submitted", "auto-replied")])


def delivered_log(post):
    rows = ["queue_id;queued;delivered;recipient"]
    for n in range(60):
        rows.append(f"4Zp{post.hex(6).upper()};03:{n % 60:02}:{int(post.random.random() * 60):02};04:{(n * 7) % 40:02}:{int(post.random.random() * 60):02};guest{n + 1}@example.net")
    return "\n".join(rows) + "\n"


def calendar(post):
    event = files.invite("REQUEST", "20260601-borealis@example.org", "20260608T083000Z", "20260608T093000Z", "Borealis: what we learned", "Room Skagerrak\\, 2nd floor", ("Priya Raman", "priya.raman@example.org"), [("Dana Marlow", "dana@example.org"), ("Jonas Brandt", "jonas.brandt@example.org")], "Thirty minutes of numbers\\, thirty minutes of complaints.")
    content = mime.multipart("mixed", [
        mime.multipart("alternative", [
            mime.text("Priya Raman invites you: Borealis: what we learned\n\nWhen   Monday, 8 June 2026, 10:30 - 11:30 (CEST)\nWhere  Room Skagerrak, 2nd floor\n\nThirty minutes of numbers, thirty minutes of complaints.", charset="us-ascii"),
            mime.text("<p><b>Borealis: what we learned</b></p><p>Monday, 8 June 2026, 10:30&ndash;11:30 (CEST)<br>Room Skagerrak, 2nd floor</p><p>Thirty minutes of numbers, thirty minutes of complaints.</p>", "html", charset="us-ascii"),
            mime.Part("text/calendar; charset=utf-8; method=REQUEST", mime.crlf(event.encode()), "8bit"),
        ], post.boundary(PRIYA.agent)),
        mime.attachment("invite.ics", "application/ics", event.encode()),
    ], post.boundary(PRIYA.agent))  # fmt: skip
    invitation = post.mail(INBOX, PRIYA, [DANA, JONAS], "2026-06-01 14:00 +0200", "Invitation: Borealis: what we learned @ Mon 8 June 2026 10:30", "", content=content, flags="\\Seen \\Answered")
    reply = files.invite("REPLY", "20260601-borealis@example.org", "20260608T083000Z", "20260608T093000Z", "Borealis: what we learned", "Room Skagerrak\\, 2nd floor", ("Priya Raman", "priya.raman@example.org"), [("Dana Marlow", "dana@example.org")], "")
    accepted = mime.multipart("alternative", [
        mime.text("Dana Marlow has accepted this invitation.", charset="us-ascii"),
        mime.Part("text/calendar; charset=utf-8; method=REPLY", mime.crlf(reply.encode()), "8bit"),
    ], post.boundary())  # fmt: skip
    post.mail(SENT, DANA, [PRIYA], "2026-06-01 14:31 +0200", "Accepted: Borealis: what we learned", "", content=accepted, reply=invitation, flags="\\Seen", received=False)
    event = files.invite("CANCEL", "20260518-cellar@example.org", "20260520T060000Z", "20260520T070000Z", "Cellar: pump test", "Cellar", ("Jonas Brandt", "jonas.brandt@example.org"), [("Dana Marlow", "dana@example.org")], "The pump came early.", 2)
    post.mail(INBOX, JONAS, [DANA], "2026-05-18 17:45 +0200", "Cancelled: Cellar: pump test", "", content=mime.Part("text/calendar; charset=utf-8; method=CANCEL", mime.base64_lines(event.encode()), "base64"), flags="\\Seen")


def budget(post):
    offer = post.mail(INBOX, JOSE, [DANA], "2026-06-16 11:08 +0200", "Offer 2026-118: two servers – price in €", """
        Dear Ms Marlow,

        please find our offer attached. In short: two machines with 2 × 7.68 TB
        each, €9,480 together, delivery within three weeks, “next business
        day” service for five years.

        If you order before the end of the quarter I can add the rails and a
        third power supply without charge — but please don’t tell my boss.

        Kind regards
        José Núñez Peña
        """, flags="\\Seen \\Answered", encoding="quoted-printable", html="""
        <html><body style="font-family:Calibri,sans-serif">
        <p>Dear Ms Marlow,</p>
        <p>please find our offer attached. In short: two machines with 2 × 7.68 TB each, <b>€9,480</b> together, delivery within three weeks,
        “next business day” service for five years.</p>
        <p>If you order before the end of the quarter I can add the rails and a third power supply without charge — but please don’t tell my boss.</p>
        <p>Kind regards<br>José Núñez Peña</p></body></html>
        """, parts=[
            mime.attachment("Offer 2026-118.pdf", "application/pdf", files.pdf(["Offer 2026-118", "", "2 x server, 64 GB, 2 x 7.68 TB NVMe        9,480.00 EUR", "Service, next business day, 60 months        incl.", "", "Valid until 30 June 2026"])),
        ])  # fmt: skip
    post.mail(SENT, DANA, [JOSE], "2026-06-17 09:12 +0200", "Re: Offer 2026-118: two servers – price in €", """
        Dear Mr Núñez,

        thank you. Two things before I sign:

        * The disks: which model exactly? We measure fsync, and the last ones
          took 4 ms for it.
        * Please split the delivery. They will stand in two towns.

        Your boss will not hear it from me.

        {quote:6}
        """, reply=offer, flags="\\Seen", received=False, word=("utf-8", "q"))  # fmt: skip
    post.mail(INBOX, JOSE, [DANA], "2026-06-18 08:59 +0200", "AW: Offer 2026-118: two servers – price in €", """
        Dear Ms Marlow,

        the data sheet is attached. According to the manufacturer a flush
        takes 0.03 ms, because the drive has capacitors and may answer
        before the flash has it. Split delivery is no problem.

        José Núñez
        """, references=[], flags="", parts=[
            mime.attachment("Hoja de datos técnicos (versión española) para señora Marlow.pdf", "application/pdf", files.pdf(["NVMe 7.68 TB", "Flush latency 30 us typ.", "Power-loss protection: yes"]), style="split"),
            mime.attachment("größe.png", "image/png", files.png("logo", 48, 32), style="word"),
        ])  # fmt: skip


def errands(post):
    zoe = post.mail(INBOX, ZOE, [DANA], "2026-06-20 18:33 +0200", "Schlüssel für die Wohnung", """
        Liebe Dana,

        der Ersatzschlüssel liegt bei Frau Öztürk im zweiten Stock. Sie ist
        bis zum 4. Juli da, danach müsstest du im Café gegenüber fragen. Bitte
        gieß die Tomaten nur abends, sonst verbrennen die Blätter. Und grüß
        Søren, falls er vorbeikommt!

        Viele Grüße
        Zoë
        """, flags="\\Seen \\Answered", encoding="8bit")  # fmt: skip
    post.mail(SENT, DANA, [ZOE], "2026-06-20 19:10 +0200", "Re: Schlüssel für die Wohnung", """
        {quote:5}

        Mach ich. Die Tomaten bekommen einen eigenen Eintrag im Kalender,
        die Katze auch. Schönen Urlaub euch beiden!

        Dana
        """, reply=zoe, flags="\\Seen", received=False, charset="iso-8859-1", encoding="quoted-printable", sign=False)  # fmt: skip
    post.mail(INBOX, SOREN, [DANA], "2026-06-24 07:20 +0200", "Sankthans på øen", """
        Hej Dana,

        vi tænder bålet klokken ni i aften nede ved havnen. Tag en trøje med,
        det blæser. Båden er malet (blå, ikke grøn, som jeg lovede), og motoren
        lyder igen som en symaskine.

        Kh
        Søren
        """, flags="\\Seen", encoding="8bit")  # fmt: skip
    post.mail(INBOX, RUTH, [DANA], "2026-06-28 10:15 +0100", "Sunday", """
        Hello love, your father has put the old radio back together and there are three screws left over. He says they were never needed. It works, but only plays stations from before 1980.

        Are you coming on the 18th? I would like to know how many potatoes to buy. Bring the photographs from the boat, the paper ones please, not on the telephone.

        Mum
        """, flags="\\Seen \\Flagged", encoding="quoted-printable", charset="utf-8", html="""
        <html><head><meta http-equiv="content-type" content="text/html; charset=utf-8"></head><body style="overflow-wrap: break-word;">
        Hello love, your father has put the old radio back together and there are three screws left over. He says they were never needed. It works, but only plays stations from before 1980.<div><br></div>
        <div>Are you coming on the 18th? I would like to know how many potatoes to buy. Bring the photographs from the boat, the <i>paper</i> ones please, not on the telephone.</div><div><br></div><div>Mum</div></body></html>
        """)  # fmt: skip
    card = "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Öztürk;Ayşe;;;\r\nFN:Ayşe Öztürk\r\nTEL;TYPE=HOME:+49 40 555 0142\r\nEMAIL:ayse@example.net\r\nEND:VCARD\r\n"
    post.mail(INBOX, ZOE, [DANA], "2026-06-29 22:04 +0200", "Karte von Frau Öztürk", """
        Hier noch ihre Nummer, falls du sie nicht antriffst.
        """, parts=[mime.attachment("Ayşe Öztürk.vcf", "text/vcard; charset=utf-8", card.encode(), encoding="8bit")])  # fmt: skip
    post.mail(INBOX, HANS, [DANA], "2026-06-30 12:00 +0200", "Ihr Termin am Dienstag, 7. Juli, 8:15 Uhr", """
        Sehr geehrte Frau Marlow,

        wir erinnern Sie an Ihren Termin am Dienstag, 7. Juli 2026, um 8:15 Uhr.
        Bitte bringen Sie Ihre Versichertenkarte mit. Können Sie nicht kommen,
        so sagen Sie bitte 24 Stunden vorher ab – sonst müssen wir € 40 berechnen.

        Mit freundlichen Grüßen
        Ihr Praxisteam
        """, flags="\\Flagged", encoding="quoted-printable", fields=[("Auto-Submitted", "auto-generated")])  # fmt: skip
    post.mail(INBOX, OLGA, [DANA], "2026-07-01 15:47 +0300", "Расписание паромов на июль", """
        Дорогая Дана!

        Посылаю расписание на июль. Первый паром теперь отходит в 6:40, а не
        в 7:00; вечерний, как и раньше, в 21:15. По воскресеньям вместо
        "Авроры" ходит "Бореалис".

        Проверьте, пожалуйста, видите ли вы кириллицу в теме письма: в прошлый
        раз Йонас ответил мне одними вопросительными знаками.

        С уважением,
        Ольга
        """, flags="\\Seen \\Answered", encoding="8bit", parts=[mime.attachment("расписание.csv", "text/csv; charset=koi8-r", "день;утро;вечер\nпн;6:40;21:15\nвс;8:00;20:30\n".encode("koi8-r"))])  # fmt: skip
    post.mail(INBOX, LIWEI, [DANA], "2026-07-02 09:05 +0800", "关于七月的订舱", """
        Dana 您好：

        七月十五日的两个集装箱已经订好，船名“极光”，预计十九日到港。提单的
        扫描件明天发给您。另外，请告诉我新的邮件服务器什么时候启用，我们这边
        需要更新地址簿。

        祝好
        李伟
        """, flags="\\Seen", encoding="base64")  # fmt: skip
    post.mail(INBOX, NEWS, [DANA], "2026-07-03 06:00 +0000", "The Slow Wire, no. 41: letters that arrived", """
        THE SLOW WIRE                                    no. 41, July 2026

        In 1912 a mailbag was washed ashore on Skagen. It held 214 letters, and
        the post office dried them on lines strung through the sorting room for
        eleven days. All but three were delivered. The three had been written
        in a copying pencil, and the sea had read them first.

        ALSO IN THIS LETTER
          - Why packet boats left on the hour whether or not anyone was aboard
          - A reader's grandfather and his eleven postmarks
          - The crossword, with last month's mistake put right

        You get this letter because you asked for it. To stop it, answer with
        the word STOP, or use the link in your mail program.
        """, html=newsletter_html(), fields=[("List-Id", "The Slow Wire <letters.slowwire.example>"), ("List-Unsubscribe", "<mailto:stop@slowwire.example?subject=stop>, <https://slowwire.example/stop?u=7f31>"), ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"), ("Precedence", "bulk")])  # fmt: skip
    post.mail(INBOX, RAIL, [DANA], "2026-07-04 20:31 +0200", "Ihre Buchung 7QK3PX: Hamburg – København H, 18. Juli", """
        Guten Tag Dana Marlow,

        vielen Dank für Ihre Buchung.

          Sa 18.07.2026   EC 395    Hamburg Hbf     ab 09:26   Gleis 6
                                    København H     an 14:06
          Wagen 14, Platz 52 (Fenster)
          Preis: 39,90 EUR

        Ihr Ticket finden Sie im Anhang. Gute Reise!
        """, flags="\\Flagged", encoding="quoted-printable", parts=[mime.attachment("Ticket_7QK3PX.pdf", "application/pdf", files.pdf(["Ticket 7QK3PX", "Hamburg Hbf - Koebenhavn H", "18.07.2026  EC 395  Wagen 14  Platz 52"]))])  # fmt: skip
    post.mail(INBOX, Person("Marlow, Dana (phone)", "dana@example.org", "K-9 Mail for Android"), [DANA], "2026-07-05 23:58 +0200", "", """
        battery door code boat 4417, tell Søren
        """, sign=False)  # fmt: skip
    post.mail(INBOX, EVE, [DANA], "2026-07-06 11:11 +0100", "a question of taste", """
        Dana, quick poll for the new boarding passes. Which sentence do you
        prefer, and please do not say both:

        (a) Please be at the quay 30 minutes before departure.
        (b) We leave on the hour, whether or not you are aboard.

        From my side it is (b), of course. It is how the packets did it.

        Eve
        """, flowed=True, delsp=True)  # fmt: skip


def newsletter_html():
    return """
        <!DOCTYPE html>
        <html lang="en"><head><meta charset="utf-8"><title>The Slow Wire</title></head>
        <body bgcolor="#ece8dc"><table width="600" align="center" cellpadding="24"><tr><td>
        <h1 style="font-family:Georgia,serif">The Slow Wire</h1>
        <p><small>no. 41, July 2026</small></p>
        <p>In 1912 a mailbag was washed ashore on Skagen. It held 214 letters, and the post office dried them on lines strung through the
        sorting room for eleven days. All but three were delivered. The three had been written in a copying pencil, and the sea had read
        them first.</p>
        <h2>Also in this letter</h2>
        <ul><li>Why packet boats left on the hour whether or not anyone was aboard</li><li>A reader&rsquo;s grandfather and his eleven
        postmarks</li><li>The crossword, with last month&rsquo;s mistake put right</li></ul>
        <p><a href="https://slowwire.example/stop?u=7f31">Stop this letter</a></p>
        </td></tr></table></body></html>
        """


def machines(post):
    for day, number, result, test, seconds in [
        (1, 4181, "passed", "", 411), (1, 4182, "failed", "store::recover::torn_tail_is_cut", 97), (2, 4183, "failed", "store::recover::torn_tail_is_cut", 102),
        (2, 4184, "passed", "", 402), (3, 4185, "passed", "", 398), (6, 4186, "failed", "session::idle::hears_the_other_session", 230),
    ]:  # fmt: skip
        commit = post.hex(10)
        detail = "412 tests, none failed." if result == "passed" else f"411 of 412 tests passed. Failed:\n\n  {test}\n\nThe last lines of its log:\n\n  thread 'main' panicked at 'assertion failed: left == right'\n  note: run with RUST_BACKTRACE=1"
        post.mail(INBOX, BOT, [DANA], f"2026-07-{day:02} {8 + number % 9:02}:{(number * 7) % 60:02} +0000", f"[paquebot] build {number} {result} ({commit})", f"Build {number} of paquebot, branch main, commit {commit}: {result} after {seconds} s.\n\n{detail}", flags="\\Seen" if result == "passed" else "", fields=[("X-Build-Status", result), ("List-Id", "<paquebot.builds.example>"), ("Auto-Submitted", "auto-generated")])
    for day in (4, 5, 6):
        post.mail(INBOX, ROOT, [DANA], f"2026-07-{day:02} 04:30 +0200", "Cron <root@mail> /usr/local/sbin/backup-mail", f"snapshot  2026-07-{day:02}T04:00:01\nread      {200 + day} GB\nnew       {day * 211} MB\nverified  1,8{day}2,007 messages, 0 differences\nduration  00:2{day}:17", received=False, flags="\\Seen" if day < 6 else "", fields=[("Auto-Submitted", "auto-generated"), ("X-Cron-Env", "<SHELL=/bin/sh>"), ("X-Cron-Env", "<HOME=/root>")])


def drafts(post):
    post.mail(DRAFTS, DANA, [RUTH], "2026-07-06 22:40 +0200", "Re: Sunday", """
        Hi Mum,

        yes, the 18th, but I arrive late because of the ferry. Five of us, so
        potatoes for seven. The photographs
        """, flags="\\Draft \\Seen", received=False, sign=False)  # fmt: skip
    post.mail(DRAFTS, DANA, [], "2026-07-07 00:12 +0200", "How we moved 311 GB of mail and nobody noticed", """
        (for the wiki, not finished)

        1. Count everything. Then count it again by another program.
        2. Keep the UIDs.
        3. Let the loudest ship go first.
        4. ???
        """, flags="\\Draft", received=False, to_raw="undisclosed-recipients:;", sign=False)  # fmt: skip
    post.mail(DRAFTS, DANA, [LIWEI], "2026-07-07 09:30 +0200", "Re: 关于七月的订舱", """
        李伟您好：

        谢谢！新的邮件服务器从七月十四日启用，地址不变。

        Dana
        """, flags="\\Draft \\Seen", received=False, sign=False, encoding="base64", fields=[("X-Mozilla-Draft-Info", "internal/draft; vcard=0; receipt=0; DSN=0; uuencode=0")])  # fmt: skip
