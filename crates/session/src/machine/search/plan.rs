//! A search program made ready to run: names and sets looked up, texts decoded, what costs little put before what costs much.

use paquebot_message::casemap::Needle;
use paquebot_message::charset;
use paquebot_message::search::Scope;
use paquebot_model::keyword_bits;
use paquebot_protocol::command::SearchKey;
use paquebot_protocol::{Day, MessageSet, SequenceSet};
use paquebot_types::{EmailId, Flags, Keyword, ModSeq, ThreadId, Uid, UidSet};

/// What must be at hand to judge a test. Each level costs more than the one before, by some ten times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// What the session's view holds.
    Message,
    /// The message's row in the index.
    Summary,
    /// The header of its body.
    Header,
    /// All of its body.
    Body,
}

/// A search program. It has no deeper tree than the parser lets through, so that walking it may recurse.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(super) root: Node,
    /// What is looked for in bodies; [`Test::Body`] names them by their places.
    pub(super) bodies: Vec<BodyText>,
    /// How many texts are looked for in headers.
    pub(super) header_texts: u64,
    asks_modseq: bool,
}

#[derive(Debug)]
pub(super) enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Test(Box<Test>),
}

/// A text to be found in a message's parts.
#[derive(Debug)]
pub(super) struct BodyText {
    pub scope: Scope,
    pub needle: Needle,
}

/// One thing about a message that is so or not.
#[derive(Debug)]
pub(super) enum Test {
    Has(Flags),
    Lacks(Flags),
    /// Bears one of the keywords with these bits.
    Keyword(u128),
    Recent,
    SeqNums {
        set: SequenceSet,
        last: Option<u32>,
    },
    Uids(UidSet),
    ChangedFrom(ModSeq),
    InternalDay(Days),
    SaveDay(Days),
    /// The internal date is not after this moment, in seconds since 1970.
    NotAfter(i64),
    /// The internal date is not before this moment.
    NotBefore(i64),
    Larger(u64),
    Smaller(u64),
    SentDay(Days),
    EmailId(EmailId),
    ThreadId(ThreadId),
    /// `place` among the tests of texts in the header.
    Envelope {
        place: usize,
        field: EnvelopeField,
        needle: Needle,
    },
    Header {
        place: usize,
        name: Vec<u8>,
        needle: Needle,
    },
    Body(usize),
}

/// A field that the index holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::machine) enum EnvelopeField {
    Subject,
    From,
    To,
    Cc,
    Bcc,
    InReplyTo,
    MessageId,
}

/// Days counted from 1970-01-01, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Days {
    pub first: i64,
    pub last: i64,
}

impl Days {
    fn before(day: Day) -> Self {
        Self { first: i64::MIN, last: day.0.saturating_sub(1) }
    }

    fn on(day: Day) -> Self {
        Self { first: day.0, last: day.0 }
    }

    fn since(day: Day) -> Self {
        Self { first: day.0, last: i64::MAX }
    }

    pub fn contains(self, day: i64) -> bool {
        self.first <= day && day <= self.last
    }
}

/// What a program's words mean in this session, at this moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meaning<'a> {
    /// Of all texts. `None`: ASCII, or what looks like UTF-8.
    pub charset: Option<&'a str>,
    /// In seconds since 1970.
    pub now: i64,
    /// The mailbox's keywords, by bit.
    pub keywords: &'a [Keyword],
    /// EXISTS, as the client knows it.
    pub exists: u32,
    pub last_uid: Option<Uid>,
    /// `$`
    pub saved: &'a UidSet,
}

impl Plan {
    /// The charset must be one that [`charset::is_known`].
    pub(crate) fn new(keys: &SearchKey, meaning: &Meaning<'_>) -> Self {
        let mut compiler = Compiler { meaning, bodies: Vec::new(), header_texts: 0, asks_modseq: false };
        let root = compiler.node(keys);
        Self {
            root,
            bodies: compiler.bodies,
            header_texts: compiler.header_texts as u64,
            asks_modseq: compiler.asks_modseq,
        }
    }

    /// Whether MODSEQ is among the keys: the answer then tells one (RFC 7162, 3.1.5).
    pub(crate) fn asks_modseq(&self) -> bool {
        self.asks_modseq
    }
}

impl Node {
    const ALWAYS: Self = Self::All(Vec::new());
    const NEVER: Self = Self::Any(Vec::new());

    /// What is needed to judge it in every case.
    fn level(&self) -> Level {
        match self {
            Self::All(nodes) | Self::Any(nodes) => nodes.iter().map(Self::level).max().unwrap_or(Level::Message),
            Self::Not(node) => node.level(),
            Self::Test(test) => test.level(),
        }
    }

    fn test(test: Test) -> Self {
        Self::Test(Box::new(test))
    }

    fn not(self) -> Self {
        Self::Not(Box::new(self))
    }
}

impl Test {
    pub fn level(&self) -> Level {
        match self {
            Self::SentDay(_) | Self::EmailId(_) | Self::ThreadId(_) | Self::Envelope { .. } => Level::Summary,
            Self::Header { .. } => Level::Header,
            Self::Body(_) => Level::Body,
            _ => Level::Message,
        }
    }
}

struct Compiler<'a> {
    meaning: &'a Meaning<'a>,
    bodies: Vec<BodyText>,
    header_texts: usize,
    asks_modseq: bool,
}

impl Compiler<'_> {
    fn node(&mut self, key: &SearchKey) -> Node {
        let test = match key {
            SearchKey::All => return Node::ALWAYS,
            SearchKey::And(keys) => return Node::All(self.nodes(keys)),
            SearchKey::Or(keys) => return Node::Any(self.nodes(keys)),
            SearchKey::Not(key) => return self.node(key).not(),
            SearchKey::Has(flags) => Test::Has(*flags),
            SearchKey::Lacks(flags) => Test::Lacks(*flags),
            SearchKey::Keyword(keyword) => return self.keyword(keyword),
            SearchKey::Unkeyword(keyword) => return self.keyword(keyword).not(),
            SearchKey::Recent => Test::Recent,
            SearchKey::New => {
                return Node::All(vec![Node::test(Test::Recent), Node::test(Test::Lacks(Flags::SEEN))]);
            }
            SearchKey::Old => return Node::test(Test::Recent).not(),
            SearchKey::Before(day) => Test::InternalDay(Days::before(*day)),
            SearchKey::On(day) => Test::InternalDay(Days::on(*day)),
            SearchKey::Since(day) => Test::InternalDay(Days::since(*day)),
            SearchKey::SentBefore(day) => Test::SentDay(Days::before(*day)),
            SearchKey::SentOn(day) => Test::SentDay(Days::on(*day)),
            SearchKey::SentSince(day) => Test::SentDay(Days::since(*day)),
            SearchKey::SavedBefore(day) => Test::SaveDay(Days::before(*day)),
            SearchKey::SavedOn(day) => Test::SaveDay(Days::on(*day)),
            SearchKey::SavedSince(day) => Test::SaveDay(Days::since(*day)),
            // Every mailbox keeps them (RFC 8514, 4.3).
            SearchKey::SaveDateSupported => return Node::ALWAYS,
            // Both take a message that is just so old (RFC 5032, 3).
            SearchKey::Older(seconds) => Test::NotAfter(self.meaning.now.saturating_sub(i64::from(*seconds))),
            SearchKey::Younger(seconds) => Test::NotBefore(self.meaning.now.saturating_sub(i64::from(*seconds))),
            SearchKey::Larger(octets) => Test::Larger(*octets),
            SearchKey::Smaller(octets) => Test::Smaller(*octets),
            SearchKey::Header { name, text } => return self.header(name, text),
            SearchKey::Bcc(text) => self.envelope(EnvelopeField::Bcc, text),
            SearchKey::Cc(text) => self.envelope(EnvelopeField::Cc, text),
            SearchKey::From(text) => self.envelope(EnvelopeField::From, text),
            SearchKey::To(text) => self.envelope(EnvelopeField::To, text),
            SearchKey::Subject(text) => self.envelope(EnvelopeField::Subject, text),
            SearchKey::Body(text) => self.body(Scope::Body, text),
            SearchKey::Text(text) => self.body(Scope::Text, text),
            SearchKey::SeqNums(MessageSet::Saved) | SearchKey::Uids(MessageSet::Saved) => {
                Test::Uids(self.meaning.saved.clone())
            }
            SearchKey::SeqNums(MessageSet::Numbers(set)) => {
                Test::SeqNums { set: set.clone(), last: Some(self.meaning.exists).filter(|last| *last > 0) }
            }
            SearchKey::Uids(MessageSet::Numbers(set)) => Test::Uids(set.to_uids(self.meaning.last_uid)),
            SearchKey::ModSeq(modseq) => {
                self.asks_modseq = true;
                Test::ChangedFrom(*modseq)
            }
            SearchKey::EmailId(id) => match parse_id(id, 'E') {
                Some(id) => Test::EmailId(EmailId(id)),
                None => return Node::NEVER,
            },
            SearchKey::ThreadId(id) => match parse_id(id, 'T') {
                Some(id) => Test::ThreadId(ThreadId(id)),
                None => return Node::NEVER,
            },
        };
        Node::test(test)
    }

    fn nodes(&mut self, keys: &[SearchKey]) -> Vec<Node> {
        let mut nodes: Vec<Node> = keys.iter().map(|key| self.node(key)).collect();
        nodes.sort_by_cached_key(Node::level);
        nodes
    }

    fn keyword(&self, keyword: &Keyword) -> Node {
        match keyword_bits(self.meaning.keywords, std::slice::from_ref(keyword)) {
            0 => Node::NEVER,
            bits => Node::test(Test::Keyword(bits)),
        }
    }

    /// Clients look for Message-ID by HEADER, through whole mailboxes, so that it is looked up in the index.
    fn header(&mut self, name: &str, text: &[u8]) -> Node {
        let field = match name {
            _ if name.eq_ignore_ascii_case("Message-ID") => Some(EnvelopeField::MessageId),
            _ if name.eq_ignore_ascii_case("In-Reply-To") => Some(EnvelopeField::InReplyTo),
            _ => None,
        };
        Node::test(match field {
            Some(field) => self.envelope(field, text),
            None => {
                Test::Header { place: self.header_place(), name: name.as_bytes().to_vec(), needle: self.needle(text) }
            }
        })
    }

    fn envelope(&mut self, field: EnvelopeField, text: &[u8]) -> Test {
        Test::Envelope { place: self.header_place(), field, needle: self.needle(text) }
    }

    fn header_place(&mut self) -> usize {
        self.header_texts += 1;
        self.header_texts - 1
    }

    fn body(&mut self, scope: Scope, text: &[u8]) -> Test {
        let needle = self.needle(text);
        self.bodies.push(BodyText { scope, needle });
        Test::Body(self.bodies.len() - 1)
    }

    fn needle(&self, text: &[u8]) -> Needle {
        Needle::new(&match self.meaning.charset {
            Some(label) => charset::decode(label.as_bytes(), text),
            None => charset::guess(text),
        })
    }
}

/// An object identifier as this server gives them: a letter and 32 hex digits. Others name nothing.
fn parse_id(text: &str, letter: char) -> Option<[u8; 16]> {
    let digits = text.strip_prefix(letter).filter(|digits| digits.len() == 32)?;
    let is_ours = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    let number = digits.bytes().all(is_ours).then(|| u128::from_str_radix(digits, 16).ok())??;
    Some(number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_as_this_server_writes_them_name_something() {
        let id = EmailId([0xab; 16]);
        assert_eq!(parse_id(&id.to_string(), 'E'), Some(id.0));
        for other in ["", "E", &id.to_string()[1..], &id.to_string().to_uppercase(), "E+1", "Eé", &format!("{id}0")] {
            assert_eq!(parse_id(other, 'E'), None, "{other}");
        }
    }

    #[test]
    fn cheap_tests_come_first() {
        let keys = SearchKey::And(vec![
            SearchKey::Body(b"x".into()),
            SearchKey::Header { name: "X-Y".into(), text: b"x".into() },
            SearchKey::Or(vec![SearchKey::Text(b"x".into()), SearchKey::Has(Flags::SEEN)]),
            SearchKey::Header { name: "message-id".into(), text: b"x".into() },
            SearchKey::Larger(1),
        ]);
        let meaning =
            Meaning { charset: None, now: 0, keywords: &[], exists: 0, last_uid: None, saved: &UidSet::new() };
        let Node::All(nodes) = Plan::new(&keys, &meaning).root else { panic!("AND stays AND") };
        let levels: Vec<Level> = nodes.iter().map(Node::level).collect();
        assert_eq!(levels, [Level::Message, Level::Summary, Level::Header, Level::Body, Level::Body]);
        assert!(matches!(&nodes[4], Node::Any(nodes) if nodes[0].level() == Level::Message));
    }
}
