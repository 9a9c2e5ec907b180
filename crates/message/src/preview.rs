//! PREVIEW (RFC 8970): the start of a message's text.

use std::borrow::Cow;

use crate::charset;
use crate::html;
use crate::limits::PREVIEW_CHARS_MAX;
use crate::structure::Structure;
use crate::transfer::Decoder;

/// Up to [`PREVIEW_CHARS_MAX`] characters of the first text part that is no attachment, decoded, HTML stripped, white space made single
/// spaces. Empty if the message has no such text.
pub fn preview(structure: &Structure) -> String {
    let Some((index, source)) = &structure.preview_source else { return String::new() };
    let Some(part) = structure.parts().get(*index) else { return String::new() };
    let content_type = structure.content_type(part);

    let mut bytes = Vec::new();
    let mut decoder = Decoder::new(part.encoding);
    decoder.push(source, &mut bytes);
    decoder.finish(&mut bytes);
    let label = content_type.as_ref().and_then(|found| found.parameter("charset")).unwrap_or_default();
    let text = charset::decode(&label, whole_characters(&bytes));
    let is_html = content_type.is_some_and(|found| found.is("text", "html"));
    let text: Cow<'_, str> = if is_html { Cow::Owned(html::text(&text)) } else { text };

    let mut out = String::new();
    let mut room = PREVIEW_CHARS_MAX;
    // A word of nothing visible is what mailings pad their previews with.
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.chars().all(is_invisible))
    {
        if !out.is_empty() {
            if room < 2 {
                break;
            }
            out.push(' ');
            room -= 1;
        }
        let length = word.char_indices().nth(room).map_or(word.len(), |(at, _)| at);
        let shown = word.get(..length).unwrap_or(word);
        out.push_str(shown);
        room -= shown.chars().count();
        if room == 0 {
            break;
        }
    }
    out
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{34F}' | '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}')
}

/// `bytes` without a UTF-8 character cut at their end, which would make text be taken for another charset.
fn whole_characters(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => bytes.get(..error.valid_up_to()).unwrap_or(bytes),
        _ => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    #[test]
    fn the_first_text_is_shown() {
        let long = format!("\r\n{}", "wörd ".repeat(100));
        let cases = [
            ("Subject: x\r\n\r\n  Hello,\r\n\tworld \0!\r\n", "Hello, world !".to_owned()),
            ("\r\n", String::new()),
            (
                "Content-Type: text/html\r\n\r\n<style>x</style><p>Hi&nbsp;&zwnj;&nbsp;<b>there</b>",
                "Hi there".to_owned(),
            ),
            (
                "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=E9=\r\ns",
                "cafés".to_owned(),
            ),
            ("Content-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nno", String::new()),
            ("Content-Type: image/png\r\n\r\nno", String::new()),
            (
                "Content-Type: multipart/mixed; boundary=b\n\nno\n--b\nContent-Type: image/png\n\nno\n--b\n\nyes\n--b--\n",
                "yes".to_owned(),
            ),
            ("Content-Type: multipart/mixed\n\nno boundary", "no boundary".to_owned()),
            (&long, "wörd ".repeat(40).trim_end().to_owned()),
        ];
        for (message, expected) in cases {
            assert_eq!(preview(&parse(message.as_bytes())), expected, "{message}");
        }
    }
}
