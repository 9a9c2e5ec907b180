"""The rest of a mailbox: travel, Japanese friends, last year's archive, the bin and the junk."""

from . import files, mime
from .people import *
from .post import Person

TRAVEL, JAPAN, ARCHIVE, TRASH, JUNK = "Reisen & Fotos", "日本語", "Archive/2025", "Trash", "Junk"


def write(post):
    travel(post)
    japan(post)
    archive(post)
    shop(post)
    trash(post)
    junk(post)


def travel(post):
    start = post.mail(TRAVEL, SOREN, [DANA, ZOE], "2026-04-02 20:15 +0200", "Påsketur: billeder fra fjorden", """
        Hej begge to,

        her er de første tre billeder. På det sidste kan man se båden, hvis
        man ved, hvor den er.

        Søren
        """, flags="\\Seen", encoding="quoted-printable", parts=[mime.attachment(f"fjord-{n}.png", "image/png", files.png("fjord", 96, 64, n * 5)) for n in (1, 2, 3)])  # fmt: skip
    second = post.mail(TRAVEL, ZOE, [SOREN], "2026-04-02 21:37 +0200", "Re: Påsketur: billeder fra fjorden", """
        Traumhaft! Ich habe die Bilder ein wenig größer gemacht und das
        zweite gerade gerückt. Der Horizont war ungefähr 3° schief, wie immer
        bei dir.
        """, cc=[DANA], reply=start, flags="\\Seen", encoding="8bit", parts=[mime.attachment("fjord-2 (gerade, größer).png", "image/png", files.png("fjord", 160, 100, 10))])  # fmt: skip
    post.mail(TRAVEL, DANA, [ZOE, SOREN], "2026-04-03 08:10 +0200", "Re: Påsketur: billeder fra fjorden", """
        > Der Horizont war ungefähr 3° schief

        Das war nicht Søren, das war die Welle. Ich habe sie gesehen.
        """, reply=second, flags="\\Seen", received=False, charset="utf-8", encoding="8bit")  # fmt: skip
    html = """
        <html><body><p>Der Plan für die Überfahrt, mit Karte:</p><p><img src="cid:karte@example.net" width="160"></p>
        <ol><li>Fr 17.7. abends in Rostock</li><li>Sa 18.7. København, Mittag bei Søren</li><li>So 19.7. Überfahrt, falls der Wind &lt; 6 Bft</li></ol>
        </body></html>
        """
    content = mime.multipart("related", [
        mime.multipart("alternative", [
            mime.text("Der Plan für die Überfahrt, mit Karte:\n\n1. Fr 17.7. abends in Rostock\n2. Sa 18.7. København, Mittag bei Søren\n3. So 19.7. Überfahrt, falls der Wind < 6 Bft", encoding="quoted-printable"),
            mime.text(html, "html", encoding="quoted-printable"),
        ], post.boundary()),
        mime.attachment("karte.png", "image/png", files.png("harbour", 160, 90, 7), disposition="inline", fields=[("Content-ID", "<karte@example.net>")]),
    ], post.boundary(), '; type="multipart/alternative"')  # fmt: skip
    post.mail(TRAVEL, ZOE, [DANA, SOREN], "2026-06-14 12:12 +0200", "Überfahrt: Plan & Karte", "", content=content, flags="\\Flagged \\Seen")
    post.mail(TRAVEL, SOREN, [DANA], "2026-06-21 22:05 +0200", "Kæmpebillede af båden", """
        Du bad om det store billede. Her er det, nu med blå maling.
        """, encoding="quoted-printable", parts=[mime.attachment("båden.png", "image/png", files.png("harbour", 480, 320, 9))])  # fmt: skip
    post.mail(TRAVEL, RAIL, [DANA], "2026-03-14 10:00 +0100", "Ihre Buchung 4MM9TZ: Hamburg – Oslo S, 2. April", """
        Guten Tag Dana Marlow,

        vielen Dank für Ihre Buchung.

          Do 02.04.2026   EC 385    Hamburg Hbf     ab 07:24   Gleis 5
                                    Kolding         an 10:41
          Do 02.04.2026   IC 1128   Kolding         ab 10:57
                                    Frederikshavn   an 14:33
          Fähre           Nordlinie Frederikshavn   ab 15:15
                                    Oslo            an 00:30

        Gute Reise!
        """, flags="\\Seen", encoding="quoted-printable", parts=[mime.attachment("Ticket_4MM9TZ.pdf", "application/pdf", files.pdf(["Ticket 4MM9TZ", "Hamburg Hbf - Oslo S", "02.04.2026"]))])  # fmt: skip
    post.mail(TRAVEL, Person("Pension Möwe", "zimmer@pension-moewe.example", "", "iso-8859-1"), [DANA], "2026-06-10 09:44 +0200", "Bestätigung Ihres Zimmers 17.-18. Juli", """
        Sehr geehrte Frau Marlow,

        gerne bestätigen wir Ihnen das Zimmer mit Blick auf die Mühle vom 17.
        bis 18. Juli 2026, ein Bett, Frühstück ab 6:30 Uhr. Falls Sie nach 22 Uhr
        ankommen: der Schlüssel hängt im Strandkorb Nr. 7.

        Herzliche Grüße von der Küste
        Familie Jürgensen
        """, flags="\\Seen", encoding="8bit")  # fmt: skip
    post.mail(TRAVEL, JOSE, [DANA], "2026-05-02 19:20 +0200", "¿Vienes en otoño?", """
        Hola Dana:

        Esto no es de trabajo. Mi hermana abre en septiembre un pequeño hotel
        en Cudillero: ocho habitaciones, un gato, ningún ascensor. ¿Por qué no
        venís todos? En octubre el mar todavía está a 18 °C, y la sidra, más fría.

        Un abrazo,
        José
        """, flags="\\Seen", encoding="8bit")  # fmt: skip


def japan(post):
    first = post.mail(JAPAN, MISAKI, [DANA], "2026-04-08 11:20 +0900", "横浜の桜", """
        デーナさん

        お元気ですか。横浜の桜は先週が満開でした。昨日の雨でだいぶ散って
        しまいましたが、港の見える丘公園はまだきれいです。

        今年の夏もこちらにいらっしゃいますか。

        高橋 美咲
        """, flags="\\Seen \\Answered", encoding="7bit")  # fmt: skip
    second = post.mail(JAPAN, DANA, [MISAKI], "2026-04-08 09:02 +0200", "Re: 横浜の桜", """
        {quote:4}

        美咲さん、写真をありがとうございます。今年は八月に行きたいです。
        船で！

        Dana
        """, reply=first, flags="\\Seen", received=False, sign=False, encoding="base64", word=("utf-8", "b"))  # fmt: skip
    post.mail(JAPAN, MISAKI, [DANA], "2026-04-09 08:15 +0900", "Re: 横浜の桜", """
        > 船で！

        それは素敵ですね。大さん橋まで迎えに行きます。到着の日が決まったら
        教えてください。

        美咲
        """, reply=second, flags="\\Seen \\Flagged", encoding="7bit")  # fmt: skip
    post.mail(JAPAN, KEN, [DANA], "2026-04-20 17:41 +0900", "メールサーバーの件", "", content=mime.multipart("mixed", [
            mime.text("Dana 様\n\nいつもお世話になっております。佐藤です。\n\n先日の件ですが、件名に ISO-2022-JP をそのまま入れてくる古いソフトの\nメールを添付します。検索で「航路」が見つかるかどうか、試してみて\nいただけますでしょうか。\n\nよろしくお願いいたします。", charset="iso-2022-jp", encoding="7bit"),
            mime.enclosed(b"Date: Fri, 5 Mar 1999 10:00:00 +0900\r\nFrom: ken@example.com\r\nTo: all@example.com\r\nMessage-Id: <199903050100.KAA00412@example.com>\r\nSubject: " + "航路の変更について".encode("iso-2022-jp") + b"\r\nX-Mailer: mnews [version 1.21] 1999-02/01(Mon)\r\n\r\n" + mime.crlf("四月から航路が変わります。\n".encode("iso-2022-jp"))),
        ], post.boundary()))  # fmt: skip
    post.mail(JAPAN, KEN, [DANA], "2026-04-21 09:30 +0900", "Re: メールサーバーの件", """
        追伸：議事録も添付します。ファイル名が長くてすみません。
        """, encoding="7bit", parts=[mime.attachment("第十二回メールサーバー移行検討会議事録（案）.pdf", "application/pdf", files.pdf(["Minutes, 12th meeting"]), style="split")])  # fmt: skip
    post.mail(JAPAN, MISAKI, [DANA], "2026-05-15 20:02 +0900", "レシピ", """
        約束の味噌汁です。

        一、煮干しの頭と腸を取り、水に三十分つける。
        二、火にかけ、沸いたら五分で引き上げる。
        三、豆腐とわかめを入れ、火を止めてから味噌を溶く。

        沸騰させないのがこつです。
        """, flags="\\Seen", charset="utf-8", encoding="8bit", word=("utf-8", "b"))  # fmt: skip
    post.mail(JAPAN, LIWEI, [DANA, KEN], "2026-06-03 14:18 +0800", "横滨港的泊位", """
        两位好：

        横滨港八月的泊位表在附件里。佐藤先生，日文版请您帮忙核对一下。

        李伟
        """, encoding="8bit", parts=[mime.attachment("泊位表.csv", "text/csv; charset=gb18030", "日期,船名,泊位\n8月4日,极光,大栈桥\n8月9日,北极光,本牧\n".encode("gb18030"))])  # fmt: skip
    raw = "泊位表、確認しました（UTF-8 のまま）".encode()
    post.mail(JAPAN, KEN, [DANA], "2026-06-04 08:55 +0900", "泊位表、確認しました", "", subject_raw=raw, content=mime.text("問題ありません。件名は RFC 6532 の書き方です。", encoding="8bit"))


def archive(post):
    box = ARCHIVE
    lease = post.mail(box, Person("Hausverwaltung Krüger", "buero@krueger-haus.example", "Outlook 16.0", "windows-1252"), [DANA], "2025-01-20 14:00 +0100", "Ablesung der Zähler am 28. Januar", """
        Sehr geehrte Frau Marlow,

        am Dienstag, 28. Januar 2025, werden zwischen 8 und 12 Uhr die Zähler
        abgelesen. Bitte sorgen Sie dafür, dass die Küche zugänglich ist.

        Krüger
        """, flags="\\Seen", encoding="quoted-printable")  # fmt: skip
    post.mail(box, DANA, [lease.sender], "2025-01-20 18:09 +0100", "Re: Ablesung der Zähler am 28. Januar", """
        Guten Abend,

        am 28. bin ich auf See. Frau Öztürk aus dem zweiten Stock hat einen
        Schlüssel und macht auf.

        D. Marlow
        """, reply=lease, flags="\\Seen", received=False, sign=False)  # fmt: skip
    wet = post.mail(box, JONAS, [DANA], "2025-02-11 06:12 +0100", "The cellar is wet", """
        Water in the cellar, about 4 cm, the array stands on pallets and is
        dry. Pump is running. I took the tapes upstairs.

        No action needed, but I wanted you to read it from me and not from
        the monitoring.
        """, flags="\\Seen \\Flagged")  # fmt: skip
    post.mail(box, DANA, [JONAS], "2025-02-11 06:40 +0100", "Re: The cellar is wet", """
        {quote:3}

        Thank you. How high are the pallets?
        """, reply=wet, flags="\\Seen", received=False)  # fmt: skip
    post.mail(box, JONAS, [DANA], "2025-02-11 06:44 +0100", "Re: The cellar is wet", "11 cm.", reply=post.mails[-1], flags="\\Seen")
    again = post.mail(box, JONAS, [DANA], "2025-10-29 23:31 +0100", "The cellar is wet (2)", """
        9 cm. I have ordered higher pallets and would like to order a second
        machine that stands in another town.
        """, flags="\\Seen \\Flagged \\Answered")  # fmt: skip
    post.mail(box, PRIYA, [JONAS, DANA], "2025-10-30 07:02 +0100", "Re: The cellar is wet (2)", """
        Approved, both. In the other order, please.
        """, reply=again, flags="\\Seen")  # fmt: skip
    school = post.mail(box, EVE, [DANA], "2025-04-09 15:15 +0100", "talk at the school?", """
        The class 8b asks whether someone could tell them how mail works. I
        said that you can do it without slides. Forty minutes, with a ferry
        horn at the end.

        Eve
        """, flags="\\Seen \\Answered")  # fmt: skip
    post.mail(box, DANA, [EVE], "2025-04-09 16:20 +0200", "Re: talk at the school?", """
        Gladly. I bring envelopes: one child is the server, one is the log,
        one is allowed to pull the plug. It took my colleagues longer.
        """, reply=school, flags="\\Seen", received=False)  # fmt: skip
    disposition = mime.multipart("report", [
        mime.text("The message that you sent to praxis@hallberg.example on 3 June 2025 was displayed.\nThis is no guarantee that it was read or understood.", charset="us-ascii"),
        mime.Part("message/disposition-notification", mime.crlf(b"Reporting-UA: praxis.hallberg.example; Outlook 16.0\nFinal-Recipient: rfc822;praxis@hallberg.example\nOriginal-Message-ID: <7c1c2a52-88aa-4b6e-b0b5-2f6a1f9a7d11@example.org>\nDisposition: manual-action/MDN-sent-manually; displayed\n"), None),
    ], post.boundary("Outlook"), "; report-type=disposition-notification")  # fmt: skip
    post.mail(box, HANS, [DANA], "2025-06-03 11:02 +0200", "Gelesen: Überweisung für Juli", "", content=disposition, flags="\\Seen")
    post.mail(box, OLGA, [DANA], "2025-08-19 10:10 +0300", "Фотографии с причала", """
        Дана, здравствуйте!

        Нашла старые фотографии причала, 1962 год. Отсканирую остальные на
        выходных. На обороте одной написано: "Почта пришла".

        Ольга
        """, flags="\\Seen \\Flagged", encoding="quoted-printable", parts=[mime.attachment("причал-1962.png", "image/png", files.png("sunset", 120, 80, 2))])  # fmt: skip
    post.mail(box, Person("=?x-unknown?q?=D6kologische_Werkstatt?=", "info@werkstatt.example", ""), [DANA], "2025-09-01 08:00 +0200", "Your bicycle is ready", """
        The front wheel is true again. Please collect it before Friday, we
        are closed on Saturday.
        """, flags="\\Seen")  # fmt: skip
    post.mail(box, Person("Jürgen", "juergen@example.net", "", "utf-8"), [DANA], "2025-09-12 21:00 +0200", "Grüße aus Büsum", "", flags="\\Seen", subject_raw="Grüße aus Büsum, mit ä ö ü wie früher".encode("iso-8859-1"), content=mime.Part("text/plain", mime.crlf("Hallo Dana,\n\nmein Programm ist von 1998 und schickt alles roh. Kommen die Umlaute\nan? Hier: äöüß. Grüße von der Fähre!\n\nJürgen\n".encode("iso-8859-1")), "8bit"))
    post.mail(box, RUTH, [DANA], "2025-11-30 17:00 +0000", "first of advent", """
        We lit the first candle and thought of you. The parcel is on its way,
        by ship, your father insisted.

        Mum
        """, flags="\\Seen", mime_version=False)  # fmt: skip
    post.mail(box, DANA, [EVERYONE], "2025-12-19 16:55 +0100", "Mail over the holidays", """
        Dear all,

        between the 22nd and the 6th I read mail once a day, at nine. If the
        ferry does not run, call. If the mail does not run, write a letter.

        Merry Christmas to all who have one, and calm water to everybody.
        """, flags="\\Seen", received=False)  # fmt: skip


def shop(post):
    box = ARCHIVE
    order = 20417
    for date, item, price, code in [
        ("2025-03-04 12:01 +0100", "Brake pads, organic (pair)", "14.90", "BP-220"), ("2025-05-22 09:40 +0200", "Bell, brass, loud", "22.00", "BL-007"),
        ("2025-07-30 18:18 +0200", "Pannier, waterproof, 23 l", "79.00", "PN-023"), ("2025-10-02 07:12 +0200", "Rear light with stand-by", "34.50", "RL-110"),
    ]:  # fmt: skip
        order += 211
        post.mail(box, SHOP, [DANA], date, f"Your order {order} is on its way", f"""
            Hello Dana,

            your order {order} left the harbour today:

              1 x {item} ({code})    EUR {price}
              shipping by cargo bike                EUR 0.00

            Track it: https://harbourbikes.example/t/{order}

            Smooth roads
            Harbour Bikes
            """, flags="\\Seen", html=f"""
            <html><body><img src="https://harbourbikes.example/logo.png" alt="Harbour Bikes"><p>Hello Dana,</p>
            <p>your order <b>{order}</b> left the harbour today:</p>
            <table border="1"><tr><td>1</td><td>{item}</td><td>{code}</td><td>EUR {price}</td></tr></table>
            <p><a href="https://harbourbikes.example/t/{order}">Track it</a></p><p>Smooth roads<br>Harbour Bikes</p></body></html>
            """)  # fmt: skip
    post.mail(box, LIBRARY, [DANA], "2025-11-05 06:30 +0100", "Rückgabe: noch 3 Tage", """
        Guten Tag,

        bis zum 8.11.2025 zurückzugeben:

          "Die Post zur See. Paketboote 1780-1840"     2. Mahnstufe ab 9.11.
          "Das große Buch der Knoten"

        Verlängern können Sie unter Ihrer Kartennummer, wenn niemand die Bücher
        vorgemerkt hat.
        """, flags="\\Seen", encoding="8bit", fields=[("Auto-Submitted", "auto-generated")])  # fmt: skip


def trash(post):
    box = TRASH
    post.mail(box, BOT, [DANA], "2026-06-28 02:14 +0000", "[paquebot] build 4170 failed (rate limit)", "Build 4170 could not start: the runner has no free slot.", flags="\\Seen", fields=[("Auto-Submitted", "auto-generated")])
    post.mail(box, EVE, [EVERYONE], "2026-06-26 12:00 +0100", "cake in the kitchen", "Rhubarb. First come, first served.", flags="\\Seen")
    post.mail(box, EVE, [EVERYONE], "2026-06-26 12:09 +0100", "cake: gone", "See subject.", reply=post.mails[-1], flags="\\Seen")
    post.mail(box, SHOP, [DANA], "2026-06-21 10:00 +0200", "Last chance: 20% off bells", """
        Only until Sunday: every bell 20% off. Be heard.
        """, flags="\\Seen \\Deleted", fields=[("List-Unsubscribe", "<mailto:stop@harbourbikes.example>")])  # fmt: skip


def junk(post):
    box = JUNK
    post.mail(box, spammer("Account Security Department", "alert@mail-service.invalid"), [DANA], "2026-06-11 03:03 +0000", "Your mailbox is 99% full - action required", """
        Dear user dana@example.org,

        your mailbox storage has reached 99%. To go on receiving mail please
        confirm your password within 24 hours at the link below.

        http://mail-service.invalid/confirm?u=dana
        """, flags="$Junk", fields=[("X-Spam-Flag", "YES"), ("X-Spam-Score", "14.2")])  # fmt: skip
    post.mail(box, spammer("Prince Adeyemi (lawyer)", "office@fortune.invalid"), [DANA], "2026-06-19 22:47 +0000", "URGENT BUSINESS PROPOSAL", """
        DEAR FRIEND,

        I AM CONTACTING YOU IN STRICT CONFIDENCE REGARDING THE SUM OF 18.5
        MILLION DOLLARS LEFT BY A LATE SHIPOWNER WITHOUT HEIRS. YOUR SHARE
        WILL BE THIRTY PERCENT. KINDLY REPLY WITH YOUR TELEPHONE NUMBER.
        """, flags="$Junk \\Seen", to_raw="undisclosed-recipients:;", fields=[("X-Spam-Flag", "YES"), ("X-Spam-Score", "21.0")])  # fmt: skip
    post.mail(box, spammer("Søléctro Wåtches", "deal@timepiece.invalid"), [DANA], "2026-06-22 13:10 +0000", "Luxury w@tches 85% 0FF", "Get yours today!", html="<html><body><font size=7 color=red>85% 0FF</font><br><a href=http://timepiece.invalid/>CLICK<p></body>", flags="$Junk", fields=[("X-Spam-Flag", "YES"), ("X-Spam-Score", "17.7")])
    post.mail(box, spammer("SEO Team", "rank@first-page.invalid"), [DANA], "2026-06-30 05:55 +0530", "I visited your website nordlinie", """
        Hello Sir/Madam,

        I was on your website and noticed that it is not on the first page for
        "ferry". We can fix this. Shall I send a quotation?
        """, flags="$Junk", fields=[("X-Spam-Flag", "YES"), ("X-Spam-Score", "8.9")])  # fmt: skip
    broken = b"--b1\r\nContent-Type: text/html\r\n\r\n<b>invoice attached</b>\r\n--b1\r\nContent-Type: application/zip; name=\"invoice.pdf.zip\"\r\nContent-Transfer-Encoding: base64\r\n\r\nUEsFBgAAAAAAAAAAAAAAAAAAAAAAAA==\r\n"
    post.mail(box, spammer("", "billing@invoice.invalid"), [DANA], "2026-07-02 01:30 +0000", "Invoice overdue", "", flags="$Junk", content=mime.Part('multipart/mixed; boundary="b1"', broken), fields=[("X-Spam-Flag", "YES"), ("X-Spam-Score", "12.5")])


def spammer(name, address):
    return Person(name, address, "Outlook Express 6.00", "windows-1252")
