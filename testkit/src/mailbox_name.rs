use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// A mailbox name as it is sent without UTF8=ACCEPT (RFC 3501, 5.1.3): printable ASCII as it is, `&` as `&-`, all else in UTF-16 and base64.
pub fn modified_utf7(name: &str) -> String {
    let (mut out, mut wide) = (String::new(), Vec::new());
    for char in name.chars() {
        if (' '..='~').contains(&char) {
            flush(&mut out, &mut wide);
            out.push(char);
            if char == '&' {
                out.push('-');
            }
        } else {
            wide.extend(char.encode_utf16(&mut [0; 2]).iter().flat_map(|unit| unit.to_be_bytes()));
        }
    }
    flush(&mut out, &mut wide);
    out
}

fn flush(out: &mut String, wide: &mut Vec<u8>) {
    if !wide.is_empty() {
        let base64 = STANDARD_NO_PAD.encode(std::mem::take(wide)).replace('/', ",");
        out.extend(["&", &base64, "-"]);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_encoded_as_the_rfc_shows() {
        for (name, encoded) in [
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("Reisen & Fotos", "Reisen &- Fotos"),
            ("Hütte", "H&APw-tte"),
            ("😀", "&2D3eAA-"),
        ] {
            assert_eq!(super::modified_utf7(name), encoded);
        }
    }
}
