//! Messages that say who they are: each is made from its token, so that whoever reads one can tell what all of it should be.

use crate::history::Token;
use crate::random::Random;

/// The octets of the message with this token: some 200 to 20,000.
pub fn message(token: Token) -> Vec<u8> {
    let mut random = Random::new(token);
    let mut text = format!("X-Token: {token}\r\nFrom: a@example.org\r\nSubject: message {token}\r\n\r\n").into_bytes();
    let lines = if random.chance(10) { 300 } else { random.below(10) + 1 };
    for _ in 0..lines {
        text.extend(
            format!("{:016x}{:016x}{:016x}\r\n", random.number(), random.number(), random.number()).into_bytes(),
        );
    }
    text
}

/// Which message this is, and that it is whole; what delivery puts before it is skipped.
pub fn token_of(octets: &[u8]) -> Result<Token, String> {
    let start = find(octets, b"X-Token: ").ok_or("it has no token")?;
    let line = octets[start + 9..].split(|byte| *byte == b'\r').next().unwrap_or_default();
    let token: Token =
        std::str::from_utf8(line).ok().and_then(|digits| digits.parse().ok()).ok_or("its token is none")?;
    if octets[start..] == message(token) { Ok(token) } else { Err(format!("message {token} is not what was sent")) }
}

fn find(octets: &[u8], wanted: &[u8]) -> Option<usize> {
    octets.windows(wanted.len()).position(|window| window == wanted)
}

#[test]
fn a_message_is_known_by_its_octets() {
    assert_eq!(token_of(&message(17)), Ok(17));
    assert_eq!(token_of(&[b"Return-Path: <>\r\n".as_slice(), &message(18)].concat()), Ok(18));
    let mut cut = message(19);
    cut.pop();
    assert!(token_of(&cut).is_err());
}
