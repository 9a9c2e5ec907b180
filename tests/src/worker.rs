//! A client that does a bit of everything in a few mailboxes that all clients share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::history::{Event, Flags, How, Outcome, Recorder, Token, Uid};
use crate::lmtp;
use crate::message::message;
use crate::random::Random;
use crate::session::{Ended, Endpoint, Selected, Session};
use crate::wire;

pub const MAILBOXES: &[&str] = &["INBOX", "Work", "Archive"];
/// Above this clients rather expunge.
const MANY: usize = 25;

pub struct Worker<'a> {
    pub number: usize,
    pub random: Random,
    pub recorder: &'a Recorder,
    /// The next token, of all clients.
    pub tokens: &'a AtomicU64,
    pub session: Option<Session<'a>>,
    /// What was known of a mailbox when it was last left.
    caches: BTreeMap<String, Selected>,
}

impl<'a> Worker<'a> {
    pub fn new(number: usize, seed: u64, recorder: &'a Recorder, tokens: &'a AtomicU64) -> Self {
        let random = Random::new(seed ^ (number as u64) << 32);
        Self { number, random, recorder, tokens, session: None, caches: BTreeMap::new() }
    }

    /// One thing, chosen at random, of a server that listens there. Without a connection: connects.
    pub fn step(&mut self, endpoint: &Endpoint) {
        let Some(mut session) = self.session.take() else {
            self.session = Session::open(self.recorder, self.number, endpoint, self.knows_qresync());
            return;
        };
        if self.act(&mut session, endpoint).is_ok() {
            self.session = Some(session);
        }
    }

    /// Every other client does.
    fn knows_qresync(&self) -> bool {
        self.number.is_multiple_of(2)
    }

    fn act(&mut self, session: &mut Session<'a>, endpoint: &Endpoint) -> Result<(), Ended> {
        let many = session.selected.as_ref().is_some_and(|selected| selected.messages.len() > MANY);
        match self.random.below(100) {
            0..25 if many => self.expunge(session),
            0..18 => self.append(session, 1),
            18..22 => self.append(session, 3),
            22..28 => {
                self.deliver(endpoint);
                Ok(())
            }
            28..48 => self.select(session),
            48..64 => self.store(session),
            64..73 => self.expunge(session),
            73..75 => self.expunge_all(session),
            75..80 => self.copy(session, How::Copy),
            80..85 => self.copy(session, How::Move),
            85..88 => session.command("NOOP").map(drop),
            88..91 => session.idle(),
            91..95 => self.by_number(session),
            95..98 => self.changed_since(session),
            _ => Err(Ended),
        }
    }

    fn mailbox(&mut self) -> &'static str {
        MAILBOXES[self.random.below(MAILBOXES.len())]
    }

    fn append(&mut self, session: &mut Session<'a>, count: u64) -> Result<(), Ended> {
        let mailbox = self.mailbox();
        let first = self.tokens.fetch_add(count, Ordering::Relaxed);
        let tokens: Vec<Token> = (first..first + count).collect();
        let mut octets = format!("APPEND {mailbox}").into_bytes();
        for token in &tokens {
            let message = message(*token);
            octets.extend(format!(" {{{}+}}\r\n", message.len()).into_bytes());
            octets.extend(message);
        }
        let invoked = self.recorder.now();
        let answer = session.command_octets("APPEND", &octets);
        let uids = answer.as_ref().ok().filter(|answer| answer.is_ok()).and_then(|answer| {
            let code = wire::code(&answer.tagged, "APPENDUID")?;
            code.get(1).map(|uids| wire::uids(uids))
        });
        let event = Event::Add { mailbox: mailbox.to_owned(), tokens, how: How::Append, uids };
        self.recorder.record(self.number, invoked, outcome(&answer), event);
        answer.map(drop)
    }

    fn deliver(&mut self, endpoint: &Endpoint) {
        let token = self.tokens.fetch_add(1, Ordering::Relaxed);
        let recipient = format!("{}@example.org", endpoint.account);
        let invoked = self.recorder.now();
        let outcome = match lmtp::deliver(endpoint.lmtp, &recipient, &message(token)) {
            Ok(answer) if answer.starts_with('2') => Outcome::Ok,
            Ok(answer) if answer.starts_with("451") => Outcome::Unavailable,
            Ok(_) => Outcome::Fail,
            Err(_) => Outcome::Unknown,
        };
        let event = Event::Add { mailbox: "INBOX".to_owned(), tokens: vec![token], how: How::Deliver, uids: None };
        self.recorder.record(self.number, invoked, outcome, event);
    }

    fn select(&mut self, session: &mut Session<'a>) -> Result<(), Ended> {
        if let Some(left) = &session.selected {
            self.caches.insert(left.mailbox.clone(), left.clone());
        }
        let mailbox = self.mailbox();
        let cache = self.caches.get(mailbox).filter(|_| self.knows_qresync());
        session.select(mailbox, cache)
    }

    /// Some of the messages that the session knows; none without a mailbox.
    fn some(&mut self, session: &Session<'a>, most: usize) -> Option<(String, Vec<Uid>)> {
        let selected = session.selected.as_ref()?;
        let known: Vec<Uid> = selected.messages.keys().copied().collect();
        let mut chosen: Vec<Uid> =
            (0..=self.random.below(most)).filter_map(|_| self.random.one(&known).copied()).collect();
        chosen.sort_unstable();
        chosen.dedup();
        (!chosen.is_empty()).then(|| (selected.mailbox.clone(), chosen))
    }

    fn store(&mut self, session: &mut Session<'a>) -> Result<(), Ended> {
        let Some((mailbox, uids)) = self.some(session, 3) else { return self.select(session) };
        let flag = ["\\Flagged", "\\Answered", "work"][self.random.below(3)];
        let set = self.random.chance(50);
        self.flag(session, mailbox, uids, flag, set)
    }

    fn flag(
        &self,
        session: &mut Session<'a>,
        mailbox: String,
        uids: Vec<Uid>,
        flag: &str,
        set: bool,
    ) -> Result<(), Ended> {
        let invoked = self.recorder.now();
        let sign = if set { '+' } else { '-' };
        let answer = session.command(&format!("UID STORE {} {sign}FLAGS ({flag})", wire::set(&uids)));
        let event = Event::Flag { mailbox, uids, flag: flag.to_owned(), set };
        self.recorder.record(self.number, invoked, outcome(&answer), event);
        answer.map(drop)
    }

    fn expunge(&mut self, session: &mut Session<'a>) -> Result<(), Ended> {
        let Some((mailbox, uids)) = self.some(session, 6) else { return self.select(session) };
        self.flag(session, mailbox.clone(), uids.clone(), "\\Deleted", true)?;
        let invoked = self.recorder.now();
        let answer = session.command(&format!("UID EXPUNGE {}", wire::set(&uids)));
        let event = Event::Remove { mailbox, uids: Some(uids), needs_deleted: true };
        self.recorder.record(self.number, invoked, outcome(&answer), event);
        answer.map(drop)
    }

    fn expunge_all(&mut self, session: &mut Session<'a>) -> Result<(), Ended> {
        let Some(mailbox) = session.selected.as_ref().map(|selected| selected.mailbox.clone()) else { return Ok(()) };
        let invoked = self.recorder.now();
        let answer = session.command("EXPUNGE");
        let event = Event::Remove { mailbox, uids: None, needs_deleted: true };
        self.recorder.record(self.number, invoked, outcome(&answer), event);
        answer.map(drop)
    }

    /// COPY and MOVE tell in COPYUID which messages there were and what they became.
    fn copy(&mut self, session: &mut Session<'a>, how: How) -> Result<(), Ended> {
        let Some((from, mut uids)) = self.some(session, 3) else { return self.select(session) };
        let to = self.mailbox();
        if to == from {
            return Ok(());
        }
        let known = session.selected.as_ref().map(|selected| selected.messages.clone()).unwrap_or_default();
        let verb = if how == How::Move { "MOVE" } else { "COPY" };
        let invoked = self.recorder.now();
        let answer = session.command(&format!("UID {verb} {} {to}", wire::set(&uids)));
        let outcome = outcome(&answer);
        let mut targets = None;
        if let (Outcome::Ok, Ok(answer)) = (outcome, &answer) {
            let untagged = answer.untagged.iter().map(wire::text);
            let code = untagged.chain([answer.tagged.clone()]).find_map(|text| wire::code(&text, "COPYUID"));
            // Without it there was nothing left to copy.
            let code = code.unwrap_or_default();
            uids = code.get(1).map(|uids| wire::uids(uids)).unwrap_or_default();
            targets = code.get(2).map(|uids| wire::uids(uids));
        }
        let tokens: Vec<Token> = uids.iter().filter_map(|uid| known.get(uid)).map(|message| message.token).collect();
        let add = Event::Add { mailbox: to.to_owned(), tokens, how, uids: targets };
        if how == How::Move {
            let remove = Event::Remove { mailbox: from, uids: Some(uids), needs_deleted: false };
            self.recorder.record_move(self.number, invoked, outcome, add, remove);
        } else {
            self.recorder.record(self.number, invoked, outcome, add);
        }
        answer.map(drop)
    }

    /// FETCH and SEARCH by message numbers, of messages that the session has.
    fn by_number(&mut self, session: &mut Session<'a>) -> Result<(), Ended> {
        if session.selected.as_ref().is_none_or(|selected| selected.numbers.is_empty()) {
            return self.select(session);
        }
        let command = if self.random.chance(50) { "FETCH 1:* (FLAGS)" } else { "SEARCH FLAGGED" };
        session.command_by_number(command).map(drop)
    }

    fn changed_since(&mut self, session: &mut Session<'a>) -> Result<(), Ended> {
        let Some(before) = session.selected.clone() else { return Ok(()) };
        let modseqs: Vec<u64> = before.messages.values().map(|message| message.modseq).collect();
        let Some(since) = self.random.one(&modseqs).copied() else { return Ok(()) };
        let invoked = self.recorder.now();
        let answer = session.command(&format!("UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE {since})"))?;
        let answered = answer.untagged.iter().filter_map(wire::fetched).filter_map(|fetched| fetched.uid).collect();
        session.command("NOOP")?;
        let gone = session.selected.as_ref().map(|selected| selected.gone.clone()).unwrap_or_default();
        let event = Event::Changed { since, answered, before: before.messages, gone };
        self.recorder.record(self.number, invoked, Outcome::Ok, event);
        Ok(())
    }

    /// What a fresh session sees of the mailbox that this one has selected.
    pub fn fresh(&self, endpoint: &Endpoint) -> Option<BTreeMap<Uid, Flags>> {
        let mailbox = &self.session.as_ref()?.selected.as_ref()?.mailbox;
        let mut session = Session::open(self.recorder, self.number, endpoint, false)?;
        session.select(mailbox, None).ok()?;
        let selected = session.selected.as_ref()?;
        Some(selected.messages.iter().map(|(uid, message)| (*uid, message.flags.clone())).collect())
    }
}

pub fn outcome(answer: &Result<paquebot_testkit::Answer, Ended>) -> Outcome {
    match answer {
        Ok(answer) if answer.is_ok() => Outcome::Ok,
        Ok(answer) if answer.tagged.starts_with("NO [UNAVAILABLE]") => Outcome::Unavailable,
        Ok(_) => Outcome::Fail,
        Err(Ended) => Outcome::Unknown,
    }
}
