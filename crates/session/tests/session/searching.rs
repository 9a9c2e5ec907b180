//! SEARCH, SORT and THREAD where there is much to look at.

use crate::server::Server;

#[tokio::test]
async fn many_texts_in_large_headers_are_found_in_the_background() {
    let server = Server::start().await;
    let mut client = server.select().await;
    let subject = "word ".repeat(1_000);
    let fields: String = (0..200).map(|number| format!("X-Field: value {number}\r\n")).collect();
    client.append("INBOX", &format!("Subject: {subject}needle\r\n{fields}\r\nbody text")).await;
    client.append("INBOX", "Subject: small\r\n\r\nbody text").await;
    let none: String = (0..60).map(|number| format!("OR SUBJECT none{number} HEADER X-Field none{number} ")).collect();
    let alternatives = "OR ".repeat(60);
    let search = |last: &str| format!("SEARCH {alternatives}{none}{last}");
    for (last, expected) in [
        ("SUBJECT NEEDLE", "* SEARCH 1"),
        ("HEADER x-field \"VALUE 199\"", "* SEARCH 1"),
        ("BODY \"Body Text\"", "* SEARCH 1 2"),
        ("BODY nothing", "* SEARCH"),
        ("SMALLER 1000", "* SEARCH 2"),
    ] {
        let answer = client.ok(&search(last)).await;
        assert_eq!(answer.untagged, [expected], "{last}");
    }
}

#[tokio::test]
async fn texts_are_found_in_every_part_of_large_messages() {
    let server = Server::start().await;
    let mut client = server.select().await;
    let filler = "some text that nobody looks for\r\n".repeat(20_000);
    let message = format!(
        "Subject: large\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n{filler}first needle\r\n--b\r\n\
         Content-Type: image/png\r\nContent-Description: a picture\r\n\r\nhidden {filler}\r\n--b\r\n\
         Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{filler}second =\r\nneedle\r\n--b--\r\n"
    );
    client.append("INBOX", &message).await;
    for (keys, found) in [
        ("BODY \"first NEEDLE\"", true),
        ("BODY \"second needle\"", true),
        ("BODY \"second needle\" BODY first NOT BODY third", true),
        ("OR BODY none TEXT \"a picture\"", true),
        ("BODY \"a picture\"", false),
        ("TEXT hidden", false),
        ("BODY \"needle second\"", false),
        ("BODY \"\" TEXT \"\"", true),
    ] {
        let answer = client.ok(&format!("SEARCH {keys}")).await;
        assert_eq!(answer.untagged, [if found { "* SEARCH 1" } else { "* SEARCH" }], "{keys}");
    }
}

#[tokio::test]
async fn search_needs_no_charset_once_all_is_utf8() {
    let server = Server::start().await;
    server.fill(1).await;
    let mut client = server.login().await;
    client.ok("ENABLE UTF8=ACCEPT").await;
    client.ok("SELECT INBOX").await;
    client.fails("SEARCH CHARSET UTF-8 SUBJECT message", "BAD ").await;
    assert_eq!(client.ok("SEARCH NOT SUBJECT \"grüße\"").await.untagged, ["* SEARCH 1"]);
}

#[tokio::test]
async fn large_mailboxes_are_sorted_and_threaded_in_order() {
    let server = Server::start().await;
    let mut client = server.select().await;
    let count = 300;
    let mut command = String::from("APPEND INBOX");
    for number in 0..count {
        // Subjects descend, three messages have the same.
        let message = format!("Subject: s{:03}\r\nMessage-ID: <{number}@x>\r\n\r\n", (count - 1 - number) / 3);
        command.push_str(&format!(" {{{}+}}\r\n{message}", message.len()));
    }
    client.ok(&command).await;
    let mut expected: Vec<u32> = (1..=count).collect();
    expected.sort_by_key(|number| (count - number) / 3);
    let told = |numbers: &[u32]| numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    let sort = client.ok("SORT (SUBJECT) UTF-8 ALL").await;
    assert_eq!(sort.untagged, [format!("* SORT {}", told(&expected))]);
    let sort = client.ok("SORT (SUBJECT REVERSE SUBJECT ARRIVAL) UTF-8 100:200").await;
    expected.retain(|number| (100..=200).contains(number));
    assert_eq!(sort.untagged, [format!("* SORT {}", told(&expected))]);
    let thread = client.ok("THREAD ORDEREDSUBJECT UTF-8 1:6").await;
    assert_eq!(thread.untagged, ["* THREAD (1 (2)(3))(4 (5)(6))"]);
}
