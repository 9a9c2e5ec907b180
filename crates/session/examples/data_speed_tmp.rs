use paquebot_auth::*;
use paquebot_log_embedded::EmbeddedLog;
use paquebot_mailbox::{Service, usual_mailboxes};
use paquebot_session::{Config, Counters, Listener, Shared, serve};
use paquebot_store::fs::RealFs;
use paquebot_store::{Options, Store};
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;
struct Users;
impl CredentialSource for Users {
    fn find(&self, _: &UserName) -> Result<Option<Found>, SourceError> {
        Ok(Some(Found {
            credentials: Credentials::from_hash("{PLAIN}secret", Scheme::Plain).unwrap(),
            access: Access::default(),
        }))
    }
}
fn srv_ns() -> u64 {
    let mut sum = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let path = task.unwrap().path();
        if std::fs::read_to_string(path.join("comm")).unwrap_or_default().trim() == "srv" {
            let s = std::fs::read_to_string(path.join("schedstat")).unwrap_or_default();
            sum += s.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    sum
}
fn main() {
    let n: usize = std::env::args().nth(1).map_or(100_000, |n| n.parse().unwrap());
    let rt =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("srv").enable_all().build().unwrap();
    let data = tempfile::tempdir().unwrap();
    let addr = rt.block_on(async {
        let (store, tail) = Store::open(Arc::new(RealFs), data.path(), Options::default()).unwrap();
        let store = Arc::new(store);
        let log = Arc::new(EmbeddedLog::open(store.clone(), tail).unwrap());
        let service = Service::start(store, log, "test", usual_mailboxes()).await.unwrap();
        let auth = Authenticator::new(
            vec![Arc::new(Users)],
            ServerSecret::random().unwrap(),
            &AuthenticatorSettings::default(),
        )
        .unwrap();
        let (stop, stopping) = watch::channel(false);
        std::mem::forget(stop);
        let shared = Arc::new(Shared {
            service,
            authenticator: Arc::new(auth),
            throttle: Arc::new(Throttle::new(ThrottleSettings::default())),
            limits: SessionLimits::new(SessionLimitSettings::default()),
            tls: None,
            config: Config::default(),
            stopping,
            counters: Counters::default(),
        });
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((s, _)) = socket.accept().await {
                tokio::spawn(serve(s, Listener::StartTls, shared.clone()));
            }
        });
        address
    });
    let mut c = std::net::TcpStream::connect(addr).unwrap();
    c.set_nodelay(true).unwrap();
    let mut buf = vec![0u8; 1 << 20];
    let mut tail: Vec<u8> = Vec::new();
    let mut run = |cmd: &[u8], show: bool| -> usize {
        let cpu = srv_ns();
        let t = Instant::now();
        c.write_all(cmd).unwrap();
        let mut total = 0;
        tail.clear();
        loop {
            let k = c.read(&mut buf).unwrap();
            assert!(k > 0);
            total += k;
            tail.extend_from_slice(&buf[..k]);
            if tail.len() > 4096 {
                let d = tail.len() - 2048;
                tail.drain(..d);
            }
            if tail.windows(3).any(|w| w == b"\nA ") || tail.starts_with(b"A ") {
                break;
            }
        }
        if show {
            let cpu = srv_ns() - cpu;
            let last = String::from_utf8_lossy(&tail).lines().last().unwrap_or_default().to_owned();
            println!(
                "{:60} {:8.1} ms wall {:8.1} ms cpu {:7.3} us/msg {:9} bytes  {}",
                String::from_utf8_lossy(&cmd[..cmd.len().min(60)]).trim(),
                t.elapsed().as_secs_f64() * 1e3,
                cpu as f64 / 1e6,
                cpu as f64 / 1e3 / n as f64,
                total,
                &last[..last.len().min(40)]
            );
        }
        total
    };
    std::thread::sleep(std::time::Duration::from_millis(100));
    run(b"A LOGIN alice secret\r\n", false);
    let t = Instant::now();
    let mut i = 0;
    while i < n {
        let mut cmd = b"A APPEND INBOX".to_vec();
        for _ in 0..200.min(n - i) {
            i += 1;
            let body = format!("line of text number {i} and more text to come\r\n").repeat(40 + i % 90);
            let m = format!(
                "Return-Path: <a{i}@example.org>\r\nReceived: from x by y; Mon, 1 Jun 2026 10:00:00 +0000\r\nDate: Mon, 1 Jun 2026 10:00:{:02} +0000\r\nFrom: Sender {} <sender{}@example.org>\r\nTo: Alice Someone <alice@example.org>, bob@example.org\r\nSubject: {}message number {} about things\r\nMessage-ID: <{i}@example.org>\r\n{}MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{body}",
                i % 60,
                i % 1000,
                i % 1000,
                if i % 3 == 0 { "Re: " } else { "" },
                i % 5000,
                if i % 3 == 0 { format!("References: <{}@example.org>\r\n", i - 1) } else { String::new() }
            );
            cmd.extend_from_slice(format!(" {{{}+}}\r\n", m.len()).as_bytes());
            cmd.extend_from_slice(m.as_bytes());
        }
        cmd.extend_from_slice(b"\r\n");
        run(&cmd, false);
    }
    println!("appended {n} in {:?}", t.elapsed());
    run(b"A SELECT INBOX\r\n", true);
    if let Ok(only) = std::env::var("ONLY") {
        std::thread::sleep(std::time::Duration::from_millis(1500));
        for _ in 0..60 {
            run(format!("A {only}\r\n").as_bytes(), false);
        }
        run(format!("A {only}\r\n").as_bytes(), true);
        return;
    }
    for cmd in [
        "FETCH 1:* (FLAGS)",
        "FETCH 1:* (UID FLAGS)",
        "FETCH 1:* (FLAGS)",
        "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)",
        "FETCH 1:* (ENVELOPE)",
        "FETCH 1:* (ENVELOPE)",
        "FETCH 1:* (BODYSTRUCTURE)",
        "FETCH 1:* (PREVIEW)",
        "FETCH 1:* (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Bcc Subject Date Message-ID)])",
        "FETCH 1:* (BODY.PEEK[HEADER])",
        "FETCH 1:* (BODY.PEEK[])",
        "SEARCH ALL",
        "SEARCH UNSEEN",
        "UID SEARCH UNSEEN",
        "SEARCH SUBJECT \"number 77\"",
        "SEARCH FROM sender77",
        "SEARCH HEADER Message-ID <777@",
        "SEARCH HEADER X-Foo bar",
        "SEARCH TEXT nothing-like-it",
        "SEARCH BODY nothing-like-it",
        "SEARCH SENTSINCE 1-Jun-2026",
        "SORT (SUBJECT DATE) UTF-8 ALL",
        "SORT (ARRIVAL) UTF-8 ALL",
        "THREAD REFERENCES UTF-8 ALL",
        "THREAD ORDEREDSUBJECT UTF-8 ALL",
    ] {
        run(format!("A {cmd}\r\n").as_bytes(), true);
    }
}
