//! Sessions that do random things to one mailbox, at once; each believes only what it is told. In the end all know the same, and know what a
//! session knows that has just come: `view-equal` and `view-rules` of what the server promises.

use std::collections::{BTreeMap, BTreeSet};

use crate::client::{Answer, Client};
use crate::server::Server;

type Flags = BTreeSet<String>;

/// Numbers that follow from a seed (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end.max(1)
    }
}

/// What one client knows.
struct Mirror {
    client: Client,
    /// By sequence number; `None` for what was not fetched yet.
    messages: Vec<Option<(u32, Flags)>>,
}

/// What an answer may tell.
#[derive(Clone, Copy, PartialEq)]
enum Expunges {
    Allowed,
    Forbidden,
}

impl Mirror {
    async fn new(server: &Server, enable: &str) -> Self {
        let mut client = server.login().await;
        if !enable.is_empty() {
            client.ok(&format!("ENABLE {enable}")).await;
        }
        let mut mirror = Self { client, messages: Vec::new() };
        mirror.run("SELECT INBOX", Expunges::Allowed).await;
        mirror
    }

    async fn run(&mut self, command: &str, expunges: Expunges) -> Answer {
        let answer = self.client.command(command).await;
        assert!(!answer.tagged.starts_with("BAD"), "{command}: {answer:?}");
        for line in &answer.untagged {
            self.hear(line, expunges);
        }
        answer
    }

    fn hear(&mut self, line: &str, expunges: Expunges) {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["*", number, "EXPUNGE"] => {
                assert!(expunges == Expunges::Allowed, "{line}");
                self.messages.remove(number.parse::<usize>().unwrap() - 1);
            }
            ["*", "VANISHED", uids] => {
                assert!(expunges == Expunges::Allowed, "{line}");
                let mut gone = uid_set(uids);
                self.messages.retain(|known| known.as_ref().is_none_or(|(uid, _)| !gone.remove(uid)));
                // The others are among those at the end that it has not fetched.
                let rest = self.messages.len() - gone.len();
                assert!(self.messages.split_off(rest).iter().all(Option::is_none), "told to go, and not there: {line}");
            }
            ["*", count, "EXISTS"] => {
                let count = count.parse().unwrap();
                assert!(count >= self.messages.len(), "EXISTS fell: {line}");
                self.messages.resize(count, None);
            }
            ["*", number, "FETCH", ..] => self.hear_fetch(number.parse().unwrap(), line),
            _ => {}
        }
    }

    fn hear_fetch(&mut self, number: usize, line: &str) {
        let known = &mut self.messages[number - 1];
        let uid = between(line, "UID ", &[' ', ')']).map(|uid| uid.parse::<u32>().unwrap());
        let flags = between(line, "FLAGS (", &[')']);
        let flags: Option<Flags> = flags.map(|flags| {
            flags.split(' ').filter(|flag| !flag.is_empty() && *flag != "\\Recent").map(Into::into).collect()
        });
        match (known, uid, flags) {
            (Some((old, known)), uid, flags) => {
                assert!(uid.is_none_or(|uid| uid == *old), "{number} is {old}: {line}");
                *known = flags.unwrap_or(std::mem::take(known));
            }
            (unknown, Some(uid), Some(flags)) => *unknown = Some((uid, flags)),
            (_, _, _) => {}
        }
    }

    /// Fetches what it was told of and has not fetched.
    async fn fetch_new(&mut self) {
        while let Some(first) = self.messages.iter().position(Option::is_none) {
            self.run(&format!("FETCH {}:* (UID FLAGS)", first + 1), Expunges::Forbidden).await;
        }
    }

    async fn act(&mut self, random: &mut Random) {
        let count = self.messages.len();
        let (a, b) = (random.below(count) + 1, random.below(count) + 1);
        let flag = ["\\Seen", "\\Deleted", "\\Deleted", "\\Flagged", "$Work", "$Later"][random.below(6)];
        let sign = ["+", "-", ""][random.below(3)];
        match random.below(12) {
            0..=2 => {
                self.run("APPEND INBOX (\\Seen) {8+}\r\na: b\r\n\r\n", Expunges::Allowed).await;
            }
            3 => {
                self.run("EXPUNGE", Expunges::Allowed).await;
            }
            4 => {
                self.run("NOOP", Expunges::Allowed).await;
            }
            _ if count == 0 => {}
            5 | 6 => self.store_silently(a, b, sign, flag).await,
            7 => {
                self.run(&format!("STORE {a}:{b} {sign}FLAGS ({flag})"), Expunges::Forbidden).await;
            }
            8 => {
                self.run(&format!("UID STORE 1:* {sign}FLAGS ({flag})"), Expunges::Allowed).await;
            }
            9 => {
                self.run("SEARCH FLAGGED", Expunges::Forbidden).await;
            }
            10 => {
                self.run(&format!("FETCH {a}:{b} (UID FLAGS BODY.PEEK[])"), Expunges::Forbidden).await;
            }
            _ => {
                let verb = ["MOVE", "COPY"][random.below(2)];
                self.run(&format!("{verb} {a} INBOX"), Expunges::Allowed).await;
            }
        }
        self.fetch_new().await;
    }

    /// The client takes the change for made, where it is not told otherwise.
    async fn store_silently(&mut self, a: usize, b: usize, sign: &str, flag: &str) {
        for (_, flags) in self.messages[a.min(b) - 1..a.max(b)].iter_mut().flatten() {
            match sign {
                "+" => drop(flags.insert(flag.into())),
                "-" => drop(flags.remove(flag)),
                _ => *flags = Flags::from([flag.into()]),
            }
        }
        self.run(&format!("STORE {a}:{b} {sign}FLAGS.SILENT ({flag})"), Expunges::Forbidden).await;
    }

    fn known(&self) -> BTreeMap<u32, Flags> {
        let known: Vec<_> = self.messages.iter().flatten().cloned().collect();
        assert!(known.is_sorted_by_key(|(uid, _)| *uid));
        assert_eq!(known.len(), self.messages.len());
        known.into_iter().collect()
    }
}

fn between<'a>(text: &'a str, start: &str, ends: &[char]) -> Option<&'a str> {
    text.split_once(start)?.1.split(ends).next()
}

fn uid_set(text: &str) -> BTreeSet<u32> {
    let range = |range: &str| {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        first.parse::<u32>().unwrap()..=last.parse().unwrap()
    };
    text.split(',').flat_map(range).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_only_listen_know_the_mailbox() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).unwrap();
        u64::from_le_bytes(bytes) | 1
    });
    println!("SEED={seed}");
    let server = Server::start().await;
    let modes = ["", "CONDSTORE", "QRESYNC", "IMAP4rev2", "QRESYNC IMAP4rev2"];
    let mut sessions = tokio::task::JoinSet::new();
    for (number, enable) in modes.into_iter().enumerate() {
        let mut mirror = Mirror::new(&server, enable).await;
        let mut random = Random(seed.wrapping_add((number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1);
        sessions.spawn(async move {
            for _ in 0..150 {
                mirror.act(&mut random).await;
            }
            (enable, mirror)
        });
    }
    let mirrors = sessions.join_all().await;
    let mut fresh = Mirror::new(&server, "").await;
    fresh.fetch_new().await;
    let there = fresh.known();
    for (enable, mut mirror) in mirrors {
        mirror.run("NOOP", Expunges::Allowed).await;
        mirror.fetch_new().await;
        assert_eq!(mirror.known(), there, "after ENABLE {enable}");
    }
}
