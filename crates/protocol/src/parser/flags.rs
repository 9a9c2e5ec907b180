//! Flags in commands.

use paquebot_types::{Flag, Flags, Keyword};

use super::string::is_atom_char;
use super::{Parsed, Parser};

impl Parser<'_> {
    /// `flag-list = "(" [flag *(SP flag)] ")"`
    pub fn flag_list(&mut self) -> Parsed<(Flags, Vec<Keyword>)> {
        let (mut flags, mut keywords) = (Flags::NONE, Vec::new());
        self.list_or_empty(|parser| parser.flag(&mut flags, &mut keywords))?;
        Ok((flags, keywords))
    }

    /// The flags of a message to be appended: as [`Self::flag_list`], and `\Recent` is let pass. Tools that copy mail from server to server send
    /// the flags that they were shown.
    pub fn shown_flag_list(&mut self) -> Parsed<(Flags, Vec<Keyword>)> {
        let (mut flags, mut keywords) = (Flags::NONE, Vec::new());
        self.list_or_empty(|parser| match parser.skip_bytes(b"\\Recent") {
            true => Ok(()),
            false => parser.flag(&mut flags, &mut keywords),
        })?;
        Ok((flags, keywords))
    }

    /// `flag *(SP flag)`
    pub fn bare_flags(&mut self) -> Parsed<(Flags, Vec<Keyword>)> {
        let (mut flags, mut keywords) = (Flags::NONE, Vec::new());
        let max = self.context.list_elements_max;
        for _ in 0..max {
            self.flag(&mut flags, &mut keywords)?;
            if !self.skip_space() {
                return Ok((flags, keywords));
            }
        }
        self.too_many("flags", max)
    }

    /// `flag`: a system flag that a client may set, or a keyword.
    fn flag(&mut self, flags: &mut Flags, keywords: &mut Vec<Keyword>) -> Parsed<()> {
        let start = self.at();
        let rest = self.rest();
        let backslash = self.skip_byte(b'\\');
        let len = self.take_while(is_atom_char).len() + usize::from(backslash);
        let text = rest.get(..len).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
        match Flag::parse(text) {
            Ok(Flag::System(flag)) => *flags = flags.union(flag),
            Ok(Flag::Keyword(keyword)) => {
                if !keywords.contains(&keyword) {
                    keywords.push(keyword);
                }
            }
            Err(_) if backslash => return Self::expected_at(start, "a system flag that can be set"),
            Err(_) => return Self::expected_at(start, "a flag"),
        }
        Ok(())
    }

    /// `flag-keyword`
    pub fn keyword(&mut self) -> Parsed<Keyword> {
        let start = self.at();
        let atom = self.atom("a keyword")?;
        Keyword::new(atom).or(Self::expected_at(start, "a keyword"))
    }
}
