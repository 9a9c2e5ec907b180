//! CREATE (RFC 9051, 6.3.4) with USE (RFC 6154, 3).

use paquebot_types::SpecialUse;

use crate::parser::{Parsed, Parser};
use crate::{Command, Mailbox};

/// A mailbox to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    pub mailbox: Mailbox,
    /// Whether the name ended in the hierarchy separator: the client means to make mailboxes below it.
    pub for_children: bool,
    /// What `USE` asks for, each once, in order.
    pub special_use: Vec<SpecialUse>,
    /// The first use that is none of ours: `NO [USEATTR]`.
    pub unknown_use: Option<String>,
}

/// `create = "CREATE" SP mailbox [SP "(" "USE" SP "(" [use-attr *(SP use-attr)] ")" ")"]`
pub(super) fn parse(parser: &mut Parser<'_>) -> Parsed<Command> {
    parser.space()?;
    let (mailbox, for_children) = parser.mailbox_with_separator()?;
    let mut create = Create { mailbox, for_children, special_use: Vec::new(), unknown_use: None };
    if parser.skip_space() {
        parser.open()?;
        if parser.word().as_str() != "USE" {
            return parser.expected("USE");
        }
        parser.space()?;
        parser.list_or_empty(|parser| use_attribute(parser, &mut create))?;
        parser.close()?;
    }
    Ok(Command::Create(create))
}

/// `use-attr = "\" atom`
fn use_attribute(parser: &mut Parser<'_>, create: &mut Create) -> Parsed<()> {
    parser.byte(b'\\', "a special use")?;
    let name = format!("\\{}", parser.atom("a special use")?);
    match SpecialUse::parse(&name) {
        Some(special_use) if !create.special_use.contains(&special_use) => create.special_use.push(special_use),
        Some(_) => {}
        None => create.unknown_use = create.unknown_use.take().or(Some(name)),
    }
    Ok(())
}
