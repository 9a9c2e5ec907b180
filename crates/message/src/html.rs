//! HTML to the text that a reader would see, as far as a preview needs it.

use memchr::memmem;

/// Elements whose content is not shown.
const HIDDEN: [&str; 5] = ["style", "script", "title", "head", "template"];

/// Elements that do not part words.
const INLINE: [&str; 14] =
    ["a", "abbr", "b", "big", "em", "font", "i", "small", "span", "strong", "sub", "sup", "u", "wbr"];

/// The text of `html`: tags, comments and hidden elements left out, character references decoded. White space comes as it stands.
pub(crate) fn text(html: &str) -> String {
    let mut out = String::with_capacity(html.len() / 2);
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        let (before, special) = rest.split_at(at);
        out.push_str(before);
        rest = if special.starts_with('&') { reference(special, &mut out) } else { tag(special, &mut out) };
    }
    out.push_str(rest);
    out
}

/// Passes over the tag or comment that starts `text`, with the content of a hidden element; gives what follows.
fn tag<'a>(text: &'a str, out: &mut String) -> &'a str {
    if let Some(comment) = text.strip_prefix("<!--") {
        return comment.find("-->").and_then(|end| comment.get(end + 3..)).unwrap_or_default();
    }
    let inner = text.get(1..).unwrap_or_default();
    if !inner.starts_with(|first: char| first.is_ascii_alphabetic() || matches!(first, '/' | '!' | '?')) {
        out.push('<');
        return inner;
    }
    let name_start = inner.trim_start_matches('/');
    let name = name_start.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    let is_name = |known: &str| name.eq_ignore_ascii_case(known);
    let after = tag_end(inner);
    if !INLINE.iter().any(|known| is_name(known)) {
        out.push(' ');
    }
    match HIDDEN.iter().find(|known| is_name(known)) {
        Some(hidden) if name_start.len() == inner.len() => close_tag(after, hidden),
        _ => after,
    }
}

/// What follows the `>` of a tag; one within quotes does not end it.
fn tag_end(inner: &str) -> &str {
    let mut quote = None;
    for (at, byte) in inner.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return inner.get(at + 1..).unwrap_or_default(),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    ""
}

/// What follows `</name`, its `>` included in the text to come.
fn close_tag<'a>(text: &'a str, name: &str) -> &'a str {
    for at in memmem::find_iter(text.as_bytes(), b"</") {
        let found = text.get(at + 2..at + 2 + name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name));
        if found {
            return text.get(at..).unwrap_or_default();
        }
    }
    ""
}

/// Decodes the character reference that starts `text`; what is none stays. Gives what follows.
fn reference<'a>(text: &'a str, out: &mut String) -> &'a str {
    const LONGEST: usize = 10;
    const NAMED: [(&str, char); 22] = [
        ("amp", '&'),
        ("lt", '<'),
        ("gt", '>'),
        ("quot", '"'),
        ("apos", '\''),
        ("nbsp", ' '),
        ("zwnj", '\u{200C}'),
        ("zwj", '\u{200D}'),
        ("shy", '\u{AD}'),
        ("copy", '©'),
        ("reg", '®'),
        ("euro", '€'),
        ("hellip", '…'),
        ("mdash", '—'),
        ("ndash", '–'),
        ("lsquo", '‘'),
        ("rsquo", '’'),
        ("ldquo", '“'),
        ("rdquo", '”'),
        ("bull", '•'),
        ("middot", '·'),
        ("eacute", 'é'),
    ];
    let body = text.get(1..).unwrap_or_default();
    let end = body.bytes().take(LONGEST).position(|byte| byte == b';');
    let decoded = end.and_then(|end| {
        let name = body.get(..end)?;
        let number = name.strip_prefix('#').map(|digits| match digits.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => digits.parse(),
        });
        let character = match number {
            Some(number) => char::from_u32(number.ok()?)?,
            None => NAMED.iter().find(|(known, _)| *known == name)?.1,
        };
        Some((character, body.get(end + 1..)?))
    });
    match decoded {
        Some((character, following)) => {
            out.push(character);
            following
        }
        None => {
            out.push('&');
            body
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_is_stripped() {
        let cases = [
            ("<p>Hello <b>wor</b>ld</p>", " Hello world "),
            ("<style>p { x: '<' }</style>a<!-- no > --->b", "  ab"),
            ("a &lt; b &amp;&#233;&#x20ac;&nope; &", "a < b &é€&nope; &"),
            ("1 < 2", "1 < 2"),
            ("<a title=\"x > y\">z</a>", "z"),
            ("<HEAD><title>t</title></HEAD>x", "  x"),
            ("<script>never closed", " "),
            ("open <tag", "open  "),
            ("<", "<"),
            ("<!-- open", ""),
        ];
        for (html, expected) in cases {
            assert_eq!(text(html), expected, "{html}");
        }
    }
}
