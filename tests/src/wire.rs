//! What of a response the tests look at.

use paquebot_testkit::Response;

use crate::history::{Flags, Uid};

/// `* 3 FETCH (...)`.
#[derive(Debug)]
pub struct Fetched {
    pub number: u32,
    pub uid: Option<Uid>,
    pub flags: Option<Flags>,
    pub modseq: Option<u64>,
    pub body: Option<Vec<u8>>,
}

/// `* 3 EXISTS` is `(3, "EXISTS")`.
pub fn numbered(response: &Response) -> Option<(u32, String)> {
    let text = text(response);
    let (number, rest) = text.strip_prefix("* ")?.split_once(' ')?;
    let word = rest.split(' ').next()?;
    Some((number.parse().ok()?, word.to_owned()))
}

pub fn fetched(response: &Response) -> Option<Fetched> {
    let (number, word) = numbered(response)?;
    if word != "FETCH" {
        return None;
    }
    let text = text(response);
    let flags = after(&text, "FLAGS (").and_then(|rest| rest.split_once(')')).map(|(flags, _)| {
        flags.split(' ').filter(|flag| !flag.is_empty() && *flag != "\\Recent").map(str::to_owned).collect()
    });
    Some(Fetched {
        number,
        uid: number_after(&text, "UID ").and_then(|uid| uid.try_into().ok()),
        flags,
        modseq: number_after(&text, "MODSEQ ("),
        body: response.literals().first().map(|octets| octets.to_vec()),
    })
}

/// `* VANISHED (EARLIER) 1:3`: whether it is about earlier, and which.
pub fn vanished(response: &Response) -> Option<(bool, Vec<Uid>)> {
    let text = text(response);
    let rest = text.strip_prefix("* VANISHED ")?;
    let (earlier, set) = match rest.strip_prefix("(EARLIER) ") {
        Some(set) => (true, set),
        None => (false, rest),
    };
    Some((earlier, uids(set)))
}

/// Whether the server said that it cannot ask the others, and shows what it has.
pub fn lags(responses: &[Response]) -> bool {
    responses.iter().any(|response| response.starts_with("* NO [UNAVAILABLE]"))
}

/// A set as numbers, in the order in which it names them.
pub fn uids(set: &str) -> Vec<Uid> {
    let number = |text: &str| text.trim().parse::<Uid>().unwrap_or(0);
    set.split(',')
        .flat_map(|range| match range.split_once(':') {
            Some((one, two)) => number(one).min(number(two))..=number(one).max(number(two)),
            None => number(range)..=number(range),
        })
        .collect()
}

pub fn set(uids: &[Uid]) -> String {
    uids.iter().map(Uid::to_string).collect::<Vec<_>>().join(",")
}

/// The arguments of a response code: of `OK [APPENDUID 7 1:2] x` and `APPENDUID` they are `7` and `1:2`.
pub fn code(text: &str, name: &str) -> Option<Vec<String>> {
    let rest = after(text, &format!("[{name} "))?;
    Some(rest.split(']').next()?.split(' ').map(str::to_owned).collect())
}

pub fn number_after(text: &str, what: &str) -> Option<u64> {
    after(text, what)?.split(|char: char| !char.is_ascii_digit()).next()?.parse().ok()
}

fn after<'a>(text: &'a str, what: &str) -> Option<&'a str> {
    text.find(what).map(|at| &text[at + what.len()..])
}

/// The response without the octets of its literals.
pub fn text(response: &Response) -> String {
    let (mut out, mut rest) = (String::new(), response.bytes());
    for literal in response.literals() {
        let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else { break };
        out.push_str(&String::from_utf8_lossy(&rest[..end]));
        rest = rest.get(end + 2 + literal.len()..).unwrap_or_default();
    }
    out.push_str(&String::from_utf8_lossy(rest));
    out
}

#[test]
fn fetches_are_read_around_their_literals() {
    let response = Response::new(b"* 2 FETCH (BODY[] {6}\r\nUID 9 \r UID 7 FLAGS (\\Seen x) MODSEQ (12))".to_vec());
    let fetched = fetched(&response).expect("it is one");
    assert_eq!((fetched.number, fetched.uid, fetched.modseq), (2, Some(7), Some(12)));
    assert_eq!(fetched.flags.map(|flags| flags.len()), Some(2));
    assert_eq!(uids("1:3,7"), [1, 2, 3, 7]);
    assert_eq!(code("OK [COPYUID 5 1:2 8:9] done", "COPYUID").unwrap_or_default(), ["5", "1:2", "8:9"]);
}
