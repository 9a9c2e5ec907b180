//! A connection of which everything is recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use paquebot_testkit::{Answer, Client, Response, sha256_hex};

use crate::history::{Event, Flags, Message, Observation, Outcome, Recorder, Resync, Step, Uid, place_of};
use crate::message::token_of;
use crate::wire;

/// Where one server listens, and who logs in there.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub imap: SocketAddr,
    pub lmtp: SocketAddr,
    /// The account, with [`PASSWORD`].
    pub account: String,
}

/// Every account's.
pub const PASSWORD: &str = "secret";

/// The connection is over; why is recorded.
#[derive(Debug)]
pub struct Ended;

pub struct Session<'a> {
    recorder: &'a Recorder,
    number: usize,
    client: Client,
    began: u64,
    steps: Vec<Step>,
    qresync: bool,
    pub selected: Option<Selected>,
    /// What the last SELECT has shown.
    pub observation: Option<Observation>,
}

/// What the client knows of the mailbox that it has selected.
#[derive(Debug, Clone)]
pub struct Selected {
    pub mailbox: String,
    pub validity: u32,
    pub highest_modseq: u64,
    /// By message number.
    pub numbers: Vec<Option<Uid>>,
    pub messages: BTreeMap<Uid, Message>,
    /// Told to be gone.
    pub gone: BTreeSet<Uid>,
}

impl<'a> Session<'a> {
    /// `None` when nobody listens, or the login is cut off: the server is down just now.
    pub fn open(recorder: &'a Recorder, number: usize, endpoint: &Endpoint, qresync: bool) -> Option<Self> {
        let began = recorder.now();
        let (client, _) = Client::connect(endpoint.imap).ok()?;
        let mut session = Self {
            recorder,
            number,
            client,
            began,
            steps: Vec::new(),
            qresync: false,
            selected: None,
            observation: None,
        };
        let login = session.command(&format!("LOGIN {} {PASSWORD}", endpoint.account)).ok()?;
        if !login.is_ok() {
            return None;
        }
        if qresync {
            session.command("ENABLE QRESYNC").ok()?;
            session.qresync = true;
        }
        Some(session)
    }

    /// Sends a command and reads to its answer.
    pub fn command(&mut self, text: &str) -> Result<Answer, Ended> {
        self.steps.push(Step::Command { text: text.to_owned(), by_number: false });
        let answer = self.client.command(text);
        self.take(text, answer)
    }

    /// The same, of a command by message numbers.
    pub fn command_by_number(&mut self, text: &str) -> Result<Answer, Ended> {
        self.steps.push(Step::Command { text: text.to_owned(), by_number: true });
        let answer = self.client.command(text);
        self.take(text, answer)
    }

    /// Sends octets that are a whole command without its tag.
    pub fn command_octets(&mut self, text: &str, octets: &[u8]) -> Result<Answer, Ended> {
        self.steps.push(Step::Command { text: text.to_owned(), by_number: false });
        let tag = self.client.tag();
        let sent = self.client.send(&[tag.as_bytes(), b" ", octets, b"\r\n"].concat());
        let answer = sent.and_then(|()| self.client.answer(&tag));
        self.take(text, answer)
    }

    /// IDLE, ended as soon as it has begun.
    pub fn idle(&mut self) -> Result<(), Ended> {
        self.steps.push(Step::Command { text: "IDLE".to_owned(), by_number: false });
        let tag = self.client.tag();
        let mut answer = self.client.send(format!("{tag} IDLE\r\n").as_bytes());
        while answer.is_ok() {
            match self.client.read() {
                Ok(Some(response)) if response.is_continuation() => break,
                Ok(Some(response)) => self.absorb(&response),
                Ok(None) => answer = Err(anyhow::anyhow!("closed")),
                Err(error) => answer = Err(error),
            }
        }
        let answer = answer.and_then(|()| self.client.send(b"DONE\r\n")).and_then(|()| self.client.answer(&tag));
        self.take("IDLE", answer).map(drop)
    }

    /// Selects a mailbox, brings `cache` up to date by QRESYNC if there is one, and fetches everything.
    pub fn select(&mut self, mailbox: &str, cache: Option<&Selected>) -> Result<(), Ended> {
        let invoked = self.recorder.now();
        let parameter = match cache {
            Some(cache) => format!(" (QRESYNC ({} {}))", cache.validity, cache.highest_modseq),
            None => " (CONDSTORE)".to_owned(),
        };
        let text = format!("SELECT {mailbox}{parameter}");
        let was_selected = self.selected.is_some();
        let answer = self.client.command(&text);
        let answer = self.judged(&text, answer)?;
        let closed = answer.untagged.iter().position(|response| response.contains("[CLOSED]")).filter(|_| was_selected);
        let (old, new) = answer.untagged.split_at(closed.unwrap_or(0));
        old.iter().for_each(|response| self.absorb(response));
        self.selected = None;
        self.observation = None;
        if !answer.is_ok() {
            return Ok(());
        }
        let number =
            |what: &str| new.iter().find_map(|response| wire::number_after(&wire::text(response), what)).unwrap_or(0);
        let small = |what: &str| u32::try_from(number(what)).unwrap_or(0);
        let exists =
            new.iter().filter_map(wire::numbered).find(|(_, word)| word == "EXISTS").map_or(0, |(count, _)| count);
        let uid_next = small("[UIDNEXT ");
        self.selected = Some(Selected {
            mailbox: mailbox.to_owned(),
            validity: small("[UIDVALIDITY "),
            highest_modseq: number("[HIGHESTMODSEQ "),
            numbers: vec![None; exists as usize],
            messages: BTreeMap::new(),
            gone: BTreeSet::new(),
        });
        self.steps.push(Step::Select { exists, qresync: self.qresync });
        new.iter().filter(|response| wire::fetched(response).is_some()).for_each(|response| self.absorb(response));
        let cached = cache.map(|cache| updated(cache, new));
        let lags = wire::lags(new);

        let full = self.command("UID FETCH 1:* (UID FLAGS MODSEQ BODY.PEEK[])")?;
        self.learn(&full.untagged);
        let Some(selected) = &self.selected else { return Ok(()) };
        let observation = Observation {
            mailbox: mailbox.to_owned(),
            validity: selected.validity,
            uid_next,
            highest_modseq: selected.highest_modseq,
            messages: selected.messages.clone(),
        };
        self.observation = Some(observation.clone());
        let seen = if lags { Event::Lagged(observation) } else { Event::Seen(observation) };
        self.recorder.record(self.number, invoked, Outcome::Ok, seen);
        if let Some(cached) = cached {
            let full = selected.messages.clone();
            self.command("NOOP")?;
            let Some(selected) = &self.selected else { return Ok(()) };
            let (mailbox, highest_modseq, gone) = (mailbox.to_owned(), selected.highest_modseq, selected.gone.clone());
            let said = new.iter().map(|response| format!("    {}\n", wire::text(response)));
            let said = format!("{text}\n{}", said.collect::<String>());
            let resync = Resync { mailbox, highest_modseq, said, cache: cached, full, gone };
            self.recorder.record(self.number, invoked, Outcome::Ok, Event::Resync(resync));
        }
        Ok(())
    }

    /// Nobody changes anything: NOOP, so that the session knows all.
    pub fn settle(&mut self) -> Result<(), Ended> {
        self.command("NOOP").map(drop)
    }

    /// What a fresh session sees of the same mailbox.
    pub fn settled(&mut self, fresh: &BTreeMap<Uid, Flags>) {
        self.steps.push(Step::Settled(fresh.clone()));
    }

    fn take(&mut self, text: &str, answer: anyhow::Result<Answer>) -> Result<Answer, Ended> {
        let answer = self.judged(text, answer)?;
        answer.untagged.iter().for_each(|response| self.absorb(response));
        Ok(answer)
    }

    /// Records an answer that is none.
    fn judged(&mut self, text: &str, answer: anyhow::Result<Answer>) -> Result<Answer, Ended> {
        let text = text.chars().take(100).collect::<String>();
        match answer {
            Ok(answer) => {
                if answer.tagged.starts_with("BAD") {
                    let wrong = Event::Wrong(format!("{text}: {}", answer.tagged));
                    self.recorder.record(self.number, self.began, Outcome::Fail, wrong);
                }
                Ok(answer)
            }
            Err(error) => {
                let why = format!("{error:#}");
                let late = why.contains("timed out") || why.contains("temporarily unavailable");
                let event = if late || why.contains("strict parser") {
                    Event::Wrong(format!("{text}: {why}"))
                } else {
                    Event::Lost
                };
                self.recorder.record(self.number, self.began, Outcome::Unknown, event);
                Err(Ended)
            }
        }
    }

    /// Takes an untagged response of the selected mailbox.
    fn absorb(&mut self, response: &Response) {
        let Some(selected) = &mut self.selected else { return };
        let mut gone = Vec::new();
        if let Some((false, uids)) = wire::vanished(response) {
            self.steps.push(Step::Vanished(uids.clone()));
            for uid in &uids {
                if let Some(index) = place_of(*uid, &selected.numbers) {
                    selected.numbers.remove(index);
                }
            }
            gone = uids;
        } else if let Some(fetched) = wire::fetched(response) {
            let index = (fetched.number as usize).wrapping_sub(1);
            let uid = fetched.uid.or_else(|| selected.numbers.get(index).copied().flatten());
            if let (Some(uid), Some(slot)) = (uid, selected.numbers.get_mut(index)) {
                *slot = Some(uid);
            }
            if let Some(message) = uid.and_then(|uid| selected.messages.get_mut(&uid)) {
                if let Some(flags) = &fetched.flags {
                    message.flags.clone_from(flags);
                }
                message.modseq = fetched.modseq.unwrap_or(message.modseq);
            }
            self.steps.push(Step::Fetch { number: fetched.number, uid: fetched.uid, flags: fetched.flags });
        } else if let Some((number, word)) = wire::numbered(response) {
            match word.as_str() {
                "EXISTS" => {
                    self.steps.push(Step::Exists(number));
                    selected.numbers.resize(number as usize, None);
                }
                "EXPUNGE" => {
                    self.steps.push(Step::Expunge(number));
                    let index = (number as usize).wrapping_sub(1);
                    if index < selected.numbers.len() {
                        gone.extend(selected.numbers.remove(index));
                    }
                }
                _ => {}
            }
        }
        if !gone.is_empty() {
            gone.iter().for_each(|uid| drop(selected.messages.remove(uid)));
            selected.gone.extend(gone.iter().copied());
            let event = Event::Gone { mailbox: selected.mailbox.clone(), uids: gone };
            self.recorder.record(self.number, self.recorder.now(), Outcome::Ok, event);
        }
    }

    /// Keeps the messages that a FETCH of everything has shown.
    fn learn(&mut self, responses: &[Response]) {
        let Some(selected) = &mut self.selected else { return };
        for fetched in responses.iter().filter_map(wire::fetched) {
            let (Some(uid), Some(body)) = (fetched.uid, fetched.body) else { continue };
            let token = match token_of(&body) {
                Ok(token) => token,
                Err(why) => {
                    let event = Event::Damaged(format!("{} UID {uid}: {why}", selected.mailbox));
                    self.recorder.record(self.number, self.recorder.now(), Outcome::Ok, event);
                    0
                }
            };
            let (flags, modseq) = (fetched.flags.unwrap_or_default(), fetched.modseq.unwrap_or(0));
            selected.messages.insert(uid, Message { token, hash: sha256_hex(&body), flags, modseq });
        }
        // What was told of a message after its body.
        let later = responses.iter().filter_map(wire::fetched).filter(|fetched| fetched.body.is_none());
        for fetched in later {
            let uid = fetched
                .uid
                .or_else(|| selected.numbers.get((fetched.number as usize).wrapping_sub(1)).copied().flatten());
            if let (Some(message), Some(flags)) = (uid.and_then(|uid| selected.messages.get_mut(&uid)), fetched.flags) {
                message.flags = flags;
                message.modseq = fetched.modseq.unwrap_or(message.modseq);
            }
        }
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.recorder.session(self.number, std::mem::take(&mut self.steps));
    }
}

/// A cache after the answer to SELECT with QRESYNC.
fn updated(cache: &Selected, responses: &[Response]) -> BTreeMap<Uid, (Flags, u64)> {
    let mut cache: BTreeMap<Uid, (Flags, u64)> =
        cache.messages.iter().map(|(uid, message)| (*uid, (message.flags.clone(), message.modseq))).collect();
    for response in responses {
        if let Some((true, uids)) = wire::vanished(response) {
            uids.iter().for_each(|uid| drop(cache.remove(uid)));
        } else if let Some(fetched) = wire::fetched(response)
            && let (Some(uid), Some(flags), Some(modseq)) = (fetched.uid, fetched.flags, fetched.modseq)
        {
            cache.insert(uid, (flags, modseq));
        }
    }
    cache
}
