//! LIST (RFC 9051, 6.3.9: LIST-EXTENDED, RFC 5258; LIST-STATUS, RFC 5819; SPECIAL-USE, RFC 6154), LSUB and XLIST.

use super::status::status_items;
use crate::parser::{Parsed, Parser};
use crate::{Command, ListPattern, StatusItem};

/// The most patterns of one LIST: each carries the reference and its own tables.
pub const LIST_PATTERNS_MAX: usize = 100;

/// LIST, LSUB or XLIST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    pub kind: ListKind,
    pub selection: ListSelection,
    /// The patterns, the reference already put before each (RFC 9051, 6.3.9). At least one.
    pub patterns: Vec<ListPattern>,
    /// The one pattern is the empty string in the plain form of the command: tell the separator and the reference's root only.
    pub only_separator: bool,
    /// The extended syntax was used: selection options, a list of patterns, or RETURN.
    pub extended: bool,
    pub returns: ListReturn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListKind {
    List,
    Lsub,
    /// Gmail's older way to tell special uses.
    Xlist,
}

/// Which mailboxes are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListSelection {
    pub subscribed: bool,
    /// Remote mailboxes as well; there are none here.
    pub remote: bool,
    /// Parents of those selected too, with CHILDINFO. Never without `subscribed` or `special_use`: the grammar makes sure.
    pub recursive_match: bool,
    pub special_use: bool,
}

/// What is to be told of each mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListReturn {
    pub subscribed: bool,
    pub children: bool,
    pub special_use: bool,
    /// A STATUS response for each selectable mailbox, with these items; empty if not asked for.
    pub status: Vec<StatusItem>,
}

impl ListSelection {
    /// `"(" [list-select-opts] ")"`
    fn parse(parser: &mut Parser<'_>) -> Parsed<Self> {
        let start = parser.at();
        let mut selection = Self::default();
        parser.list_or_empty(|parser| {
            let start = parser.at();
            match parser.word().as_str() {
                "SUBSCRIBED" => selection.subscribed = true,
                "REMOTE" => selection.remote = true,
                "RECURSIVEMATCH" => selection.recursive_match = true,
                "SPECIAL-USE" => selection.special_use = true,
                _ => return Parser::expected_at(start, "a LIST selection option"),
            }
            Ok(())
        })?;
        if selection.recursive_match && !selection.subscribed && !selection.special_use {
            return Parser::expected_at(start, "RECURSIVEMATCH with SUBSCRIBED or SPECIAL-USE");
        }
        Ok(selection)
    }
}

impl ListReturn {
    /// `"RETURN" SP "(" [return-option *(SP return-option)] ")"`
    fn parse(parser: &mut Parser<'_>) -> Parsed<Self> {
        let start = parser.at();
        if parser.word().as_str() != "RETURN" {
            return Parser::expected_at(start, "RETURN");
        }
        parser.space()?;
        let mut returns = Self::default();
        parser.list_or_empty(|parser| {
            let start = parser.at();
            match parser.word().as_str() {
                "SUBSCRIBED" => returns.subscribed = true,
                "CHILDREN" => returns.children = true,
                "SPECIAL-USE" => returns.special_use = true,
                "STATUS" => {
                    parser.space()?;
                    returns.status = status_items(parser)?;
                }
                _ => return Parser::expected_at(start, "a LIST return option"),
            }
            Ok(())
        })?;
        Ok(returns)
    }
}

/// `list = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts]`; LSUB and XLIST have the plain form only.
pub(super) fn parse(parser: &mut Parser<'_>, kind: ListKind) -> Parsed<Command> {
    parser.space()?;
    let mut list = List {
        kind,
        selection: ListSelection::default(),
        patterns: Vec::new(),
        only_separator: false,
        extended: false,
        returns: ListReturn::default(),
    };
    let extensible = kind == ListKind::List;
    if extensible && parser.peek() == Some(b'(') {
        list.extended = true;
        list.selection = ListSelection::parse(parser)?;
        parser.space()?;
    }
    let reference = parser.astring("a reference name")?;
    parser.space()?;
    let empty = matches!(parser.rest(), [b'"', b'"', ..]);
    if extensible && parser.peek() == Some(b'(') {
        list.extended = true;
        parser.list(|parser| {
            if list.patterns.len() == LIST_PATTERNS_MAX {
                return parser.too_many("patterns", LIST_PATTERNS_MAX);
            }
            list.patterns.push(parser.list_pattern(&reference)?);
            Ok(())
        })?;
    } else {
        list.patterns.push(parser.list_pattern(&reference)?);
    }
    if extensible && parser.skip_space() {
        list.extended = true;
        list.returns = ListReturn::parse(parser)?;
    }
    list.only_separator = empty && !list.extended;
    Ok(Command::List(list))
}
