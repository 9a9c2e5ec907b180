//! Each work for one second: what is counted is what the servers saw.

use clap::Parser;
use paquebot_bench::{BenchError, Corpus, LmtpAddress, Options, Report, Sizes, measure};

use crate::imap_server::{Kind, serve};
use crate::lmtp_server::{Pipelining, serve_tcp, serve_unix};

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

fn options(line: &str) -> Options {
    Arguments::parse_from(format!("bench {line} --seconds 1 --timeout 5").split(' ')).options
}

async fn imap(work: &str, address: impl std::fmt::Display, more: &str) -> Report {
    let line = format!("{work} --imap {address} --password secret --user anna,ben --connections 3 --messages 40{more}");
    measure(&options(&line), |_| ()).await.unwrap()
}

fn kinds(report: &Report) -> Vec<&str> {
    report.latencies.iter().map(|latency| latency.kind.as_str()).collect()
}

#[tokio::test]
async fn append_puts_whole_messages_of_the_corpus() {
    for kind in [Kind::Plain, Kind::NoLiteralPlus] {
        let (address, state) = serve(kind).await;
        let report = imap("append", address, " --size 3000").await;
        assert_eq!((&report.errors.len(), kinds(&report)), (&0, vec!["append"]));
        assert!(report.operations > 10, "{report}");
        let mailboxes = state.mailboxes.lock().unwrap();
        let kept: usize = mailboxes.values().map(Vec::len).sum();
        assert_eq!(kept as u64, report.operations);
        assert_eq!(mailboxes.keys().collect::<Vec<_>>(), ["anna/bench-append", "ben/bench-append"]);
        let first = Corpus::new(1, Sizes::Fixed(3000)).message(2 << 32);
        assert!(mailboxes["ben/bench-append"].contains(&first));
        assert!(report.bytes_sent > report.operations * 2_800);
    }
}

#[tokio::test]
async fn tls_is_spoken_from_the_start_or_on_demand() {
    for (kind, tls) in [(Kind::ImplicitTls, "implicit"), (Kind::StartTls, "starttls")] {
        let (address, state) = serve(kind).await;
        let report = imap("fetch", address, &format!(" --tls {tls}")).await;
        assert!(report.errors.is_empty() && report.operations > 10, "{report}");
        assert_eq!(kinds(&report), ["fetch body", "fetch flags", "fetch page"]);
        assert_eq!(report.tls, tls);
        // Each of two users' mailboxes was filled, once.
        assert_eq!(state.commands("APPEND"), 80);
    }
}

#[tokio::test]
async fn fetch_store_search_and_login_count_what_the_server_was_asked() {
    let (address, state) = serve(Kind::Plain).await;
    for (work, command) in [("fetch", "FETCH"), ("store", "STORE"), ("search", "SEARCH"), ("login", "LOGOUT")] {
        let before = state.commands(command);
        let report = imap(work, address, "").await;
        assert!(report.errors.is_empty() && report.operations > 0, "{report}");
        let preparing = if work == "login" { 2 } else { 0 };
        assert_eq!(state.commands(command) - before - preparing, report.operations, "{work}");
        assert!(report.bytes_received > 0 && report.latencies.iter().all(|latency| latency.max_us >= latency.p50_us));
    }
    assert_eq!(state.commands("APPEND"), 80, "full mailboxes are not filled again");
}

#[tokio::test]
async fn mailboxes_are_filled_many_messages_at_a_time_where_the_server_takes_them() {
    let (address, state) = serve(Kind::MultiAppend).await;
    let line =
        format!("store --imap {address} --password secret --user anna --connections 1 --messages 230 --size 1000");
    let report = measure(&options(&line), |_| ()).await.unwrap();
    assert!(report.errors.is_empty(), "{report}");
    assert_eq!(state.commands("APPEND"), 3);
    let corpus = Corpus::new(1, Sizes::Fixed(1000));
    let expected: Vec<Vec<u8>> = (0..230).map(|n| corpus.message(n)).collect();
    assert!(state.mailboxes.lock().unwrap()["anna/bench"] == expected);
}

#[tokio::test]
async fn a_script_times_its_named_steps_and_goes_on_after_a_refusal() {
    let (address, state) = serve(Kind::Plain).await;
    let file = std::env::temp_dir().join(format!("paquebot-bench-{}.script", std::process::id()));
    let script = "|| SELECT {mailbox}\nflags | 3 | FETCH 1:* (UID FLAGS)\nrefused || XYZ\n? || XYZ\nvalid || NOOP {uidvalidity} {n}\n";
    std::fs::write(&file, script).unwrap();
    let line = format!(
        "script --imap {address} --password secret --user anna --messages 40 --rounds 2 --script {}",
        file.display()
    );
    let report = measure(&options(&line), |_| ()).await.unwrap();
    std::fs::remove_file(file).unwrap();
    let steps: Vec<_> = report.steps.iter().map(|step| (step.name.as_str(), step.commands, step.responses)).collect();
    assert_eq!(steps, [("flags", 6, 240), ("valid", 2, 0)]);
    assert_eq!(report.errors.into_iter().collect::<Vec<_>>(), [("script: BAD".to_string(), 2)]);
    assert_eq!(report.operations, 8);
    assert!(report.steps.iter().all(|step| step.seconds > 0.0 && step.bytes_received > 0));
    assert_eq!((state.commands("SELECT"), state.commands("XYZ")), (3, 4));
}

#[tokio::test]
async fn login_tells_its_stages() {
    let (address, _) = serve(Kind::Plain).await;
    let report = imap("login", address, "").await;
    let stages = ["session", "session: connect", "session: login", "session: logout", "session: select"];
    assert_eq!(kinds(&report), stages);
    assert!(report.latencies.iter().all(|latency| latency.count == report.operations));
}

#[tokio::test]
async fn mixed_keeps_the_mailbox_from_growing() {
    let (address, state) = serve(Kind::Plain).await;
    let line = format!("mixed --imap {address} --password secret --user anna --connections 1 --messages 5");
    let report = measure(&options(&line), |_| ()).await.unwrap();
    assert!(report.errors.is_empty(), "{report}");
    for kind in ["append", "expunge", "fetch body", "fetch page", "list", "noop", "search flags", "status", "store"] {
        assert!(kinds(&report).contains(&kind), "{kind}: {report}");
    }
    assert!(state.mailboxes.lock().unwrap()["anna/bench-mixed"].len() <= 11);
}

#[tokio::test]
async fn idle_measures_who_hears_and_how_soon() {
    let (address, _) = serve(Kind::Plain).await;
    let report = imap("idle", address, &format!(" --server-pid {}", std::process::id())).await;
    let idle = report.idle.clone().unwrap();
    assert_eq!((idle.connections, idle.missed), (3, 0));
    assert!(idle.resident_bytes_per_connection.is_some() && idle.anonymous_bytes_per_connection.is_some());
    // Two connections are anna's and one is ben's; they are told in turn.
    assert!(report.operations > 2 && report.errors.is_empty(), "{report}");
    let (pairs, odd) = (report.operations / 2, report.operations % 2);
    assert_eq!(idle.notifications, pairs * 3 + odd * 2);
    assert_eq!(kinds(&report), ["append", "notification", "notification after OK"]);
    assert!(report.server.is_some());
    assert!(idle.proportional_bytes_per_connection.is_some());
}

#[tokio::test]
async fn refusals_are_counted_by_their_code_and_the_work_goes_on() {
    let (address, _) = serve(Kind::Refusing).await;
    let report = imap("append", address, "").await;
    assert!(report.operations > 10);
    assert_eq!(report.errors.keys().collect::<Vec<_>>(), ["APPEND: NO [OVERQUOTA]"]);
    let text = report.to_string();
    assert!(text.contains("APPEND: NO [OVERQUOTA]") && text.contains("append "), "{text}");
}

#[tokio::test]
async fn lost_connections_are_counted_and_made_again() {
    let (address, state) = serve(Kind::Dropping).await;
    let report = imap("append", address, "").await;
    assert!(report.errors.keys().all(|kind| kind == "closed" || kind == "broken"), "{report}");
    let lost: u64 = report.errors.values().sum();
    assert!(lost > 3, "{report}");
    let kept: usize = state.mailboxes.lock().unwrap().values().map(Vec::len).sum();
    assert_eq!(kept as u64, report.operations);
}

#[tokio::test]
async fn what_cannot_begin_is_an_error() {
    let (address, _) = serve(Kind::Plain).await;
    let wrong = options(&format!("append --imap {address} --password wrong --user anna"));
    let error = measure(&wrong, |_| ()).await.unwrap_err();
    let BenchError::NothingPrepared(cause) = &error else { panic!("{error:?}") };
    assert_eq!(cause.kind(), "LOGIN: NO [AUTHENTICATIONFAILED]");
    let nobody = options("deliver --lmtp unix:/nonexistent/lmtp --user anna");
    assert!(matches!(measure(&nobody, |_| ()).await, Err(BenchError::NothingPrepared(_))));
    let unknown = options(&format!("append --imap {address} --password secret --user anna --server-pid 4294967295"));
    assert!(matches!(measure(&unknown, |_| ()).await, Err(BenchError::Process { .. })));
}

fn deliver(address: &LmtpAddress, more: &str) -> Options {
    let address = match address {
        LmtpAddress::Tcp(address) => address.clone(),
        LmtpAddress::Unix(path) => format!("unix:{}", path.display()),
    };
    options(&format!("deliver --lmtp {address} --connections 2{more}"))
}

#[tokio::test]
async fn deliveries_arrive_byte_for_byte() {
    let path = std::env::temp_dir().join(format!("paquebot-bench-{}.sock", std::process::id()));
    let servers = [serve_tcp(Pipelining::Yes).await, serve_tcp(Pipelining::No).await, serve_unix(&path)];
    for (address, deliveries) in servers {
        let report = measure(&deliver(&address, " --users u%d:2 --domain example.org"), |_| ()).await.unwrap();
        assert!(report.errors.is_empty() && report.operations > 10, "{report}");
        let deliveries = deliveries.lock().unwrap();
        assert_eq!(deliveries.len() as u64, report.operations);
        let first = Corpus::new(1, Sizes::Natural { max: 2_000_000 }).message(1 << 32);
        assert!(deliveries.contains(&("u1@example.org".into(), first)));
    }
    std::fs::remove_file(path).unwrap();
}

#[tokio::test]
async fn unknown_recipients_are_counted() {
    for pipelining in [Pipelining::Yes, Pipelining::No] {
        let (address, deliveries) = serve_tcp(pipelining).await;
        let report = measure(&deliver(&address, " --user nobody,anna"), |_| ()).await.unwrap();
        assert_eq!(report.errors.keys().collect::<Vec<_>>(), ["RCPT: 550 5.1.1"]);
        assert_eq!(deliveries.lock().unwrap().len() as u64, report.operations);
    }
}
