//! The lines that are measured, as data: what each does, what is compared, and how much better Paquebot is to be.

/// What of a line is compared with the fastest peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Operations a second.
    Rate,
    /// Time of one operation: the same, told otherwise.
    Time,
    /// The server's CPU time for each operation.
    Cpu,
    /// Bytes received a second.
    Bytes,
    /// Memory of one connection.
    Memory,
}

/// A line of the table.
#[derive(Debug)]
pub struct Row {
    pub key: &'static str,
    pub title: &'static str,
    pub by: By,
    /// How many times better than the fastest peer.
    pub goal: f64,
}

/// A load of many connections, which `paquebot bench` keeps up for some seconds.
#[derive(Debug)]
pub struct Load {
    pub row: Row,
    /// What `paquebot bench` is told, beside who and where.
    pub arguments: &'static str,
    pub users: u32,
    /// How many messages mailboxes are filled with, in a short and in a long run.
    pub messages: (u32, u32),
}

const fn row(key: &'static str, title: &'static str, by: By, goal: f64) -> Row {
    Row { key, title, by, goal }
}

pub static LOADS: &[Load] = &[
    Load {
        row: row("deliver", "LMTP delivery, 6 KB, 16 connections", By::Rate, 8.0),
        arguments: "deliver --connections 16 --size 6000",
        users: 16,
        messages: (0, 0),
    },
    Load {
        row: row("append", "APPEND, 6 KB, 16 connections", By::Rate, 4.0),
        arguments: "append --connections 16 --size 6000",
        users: 16,
        messages: (0, 0),
    },
    Load {
        row: row("mixed", "mixed load in the manner of imaptest, 50 clients", By::Cpu, 4.0),
        arguments: "mixed --connections 50",
        users: 10,
        messages: (200, 2000),
    },
    Load {
        row: row("fetch", "FETCH mix, 8 connections", By::Cpu, 3.0),
        arguments: "fetch --connections 8",
        users: 4,
        messages: (500, 2000),
    },
    Load {
        row: row("store", "STORE mix, 8 connections", By::Cpu, 3.0),
        arguments: "store --connections 8",
        users: 4,
        messages: (500, 2000),
    },
    Load {
        row: row("login", "connect, LOGIN, SELECT, LOGOUT, 4 at a time", By::Cpu, 5.0),
        arguments: "login --connections 4",
        users: 4,
        messages: (500, 2000),
    },
    Load {
        row: row("login-tls", "the same in TLS", By::Cpu, 2.0),
        arguments: "login --connections 4 --tls implicit",
        users: 4,
        messages: (500, 2000),
    },
];

/// A connection in IDLE.
pub static IDLE: Row = row("idle", "memory of a connection in IDLE", By::Memory, 50.0);
pub static IDLE_TLS: Row = row("idle-tls", "memory of a connection in IDLE, in TLS", By::Memory, 50.0);

/// What is done to one large mailbox, by one connection. The keys are the names of the script's steps.
pub static LARGE: &[Row] = &[
    row("select-cold", "SELECT, first after the server's start", By::Time, 1.0),
    row("select", "SELECT, warm", By::Time, 1.0),
    row("flags", "UID FETCH 1:* FLAGS", By::Cpu, 3.0),
    row("flags-modseq", "UID FETCH 1:* (FLAGS MODSEQ)", By::Cpu, 3.0),
    row("structure-first", "FETCH 1:* (ENVELOPE BODYSTRUCTURE), first time", By::Cpu, 3.0),
    row("structure", "FETCH 1:* (ENVELOPE BODYSTRUCTURE), again", By::Cpu, 3.0),
    row("search-subject", "SEARCH SUBJECT", By::Time, 5.0),
    row("search-body", "SEARCH BODY of a word that is nowhere", By::Time, 2.0),
    row("sort", "SORT (SUBJECT)", By::Time, 10.0),
    row("thread", "THREAD REFERENCES", By::Time, 10.0),
    row("store-all", "STORE 1:* +FLAGS.SILENT", By::Time, 1.0),
    row("store-single", "1,000 STOREs one by one", By::Time, 1.0),
    row("copy", "COPY of 10,000, or of all", By::Cpu, 5.0),
    row("move", "MOVE of 10,000, or of all", By::Cpu, 5.0),
    row("qresync", "SELECT with QRESYNC, 100 changes", By::Time, 5.0),
];

/// Message bodies.
pub static BODIES: &[Row] = &[
    row("bodies-6k", "FETCH BODY.PEEK[] of messages of 6 KB", By::Bytes, 1.5),
    row("bodies-1m", "FETCH BODY.PEEK[] of messages of 1 MB", By::Bytes, 1.0),
];

/// From the start of the process to its greeting.
pub static STARTS: &[Row] = &[
    row("start", "start-up, to the greeting", By::Time, 1.0),
    row("recover", "start-up after a load and SIGKILL, to the greeting", By::Time, 1.0),
];

pub const COPIED_MAX: u32 = 10_000;
pub const SINGLE_STORES: u32 = 1000;

/// The first look at a large mailbox, before anything of it was fetched.
pub const FIRST_SCRIPT: &str = "\
|| SELECT {mailbox}
structure-first || FETCH 1:* (ENVELOPE BODYSTRUCTURE)
";

/// The first SELECT after a start. The user has logged in.
pub const COLD_SCRIPT: &str = "select-cold || SELECT {mailbox}\n";

/// One round at a mailbox of so many messages, which is then as before.
pub fn large_script(messages: u32) -> String {
    let (copied, single) = (messages.min(COPIED_MAX), messages.min(SINGLE_STORES));
    format!(
        "\
|| SELECT {{mailbox}}
select | 20 | SELECT {{mailbox}}
flags | 3 | UID FETCH 1:* (FLAGS)
flags-modseq | 3 | UID FETCH 1:* (FLAGS MODSEQ)
structure | 2 | FETCH 1:* (ENVELOPE BODYSTRUCTURE)
search-subject | 3 | SEARCH SUBJECT \"budget\"
search-body || SEARCH BODY \"xylophone\"
sort | 3 | SORT (SUBJECT) UTF-8 ALL
thread | 3 | THREAD REFERENCES UTF-8 ALL
store-all || STORE 1:* +FLAGS.SILENT (\\Flagged)
|| STORE 1:* -FLAGS.SILENT (\\Flagged)
store-single | {single} | STORE {{n}} +FLAGS.SILENT (\\Answered)
|| STORE 1:* -FLAGS.SILENT (\\Answered)
? || DELETE {{prefix}}copies
? || DELETE {{prefix}}moved
|| CREATE {{prefix}}copies
|| CREATE {{prefix}}moved
copy || COPY 1:{copied} {{prefix}}copies
|| SELECT {{prefix}}copies
move || MOVE 1:* {{prefix}}moved
|| SELECT {{mailbox}}
? || DELETE {{prefix}}copies
? || DELETE {{prefix}}moved
? || ENABLE QRESYNC
|| SELECT {{mailbox}}
| 100 | STORE {{n}} +FLAGS.SILENT (\\Draft)
? || UNSELECT
qresync | 10 | SELECT {{mailbox}} (QRESYNC ({{uidvalidity}} {{modseq}}))
|| STORE 1:* -FLAGS.SILENT (\\Draft)
"
    )
}

/// All bodies of a mailbox; the step has the row's key.
pub fn bodies_script(key: &str) -> String {
    format!("|| SELECT {{mailbox}}\n{key} | 3 | FETCH 1:* (BODY.PEEK[])\n")
}

/// Every line, in the order of the tables.
pub fn all() -> impl Iterator<Item = &'static Row> {
    let loads = LOADS.iter().map(|load| &load.row);
    loads.chain([&IDLE, &IDLE_TLS]).chain(LARGE).chain(BODIES).chain(STARTS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_step_of_a_script_is_a_row_and_the_other_way_round() {
        let script = format!("{FIRST_SCRIPT}{COLD_SCRIPT}{}", large_script(50));
        let names: BTreeSet<&str> = script.lines().filter_map(|line| line.split('|').next().map(str::trim)).collect();
        let keys: BTreeSet<&str> = LARGE.iter().map(|row| row.key).chain(["", "?"]).collect();
        assert_eq!(names, keys);
        assert!(script.contains("COPY 1:50 {prefix}copies") && script.contains("store-single | 50 |"));
    }

    #[test]
    fn keys_are_unique() {
        let keys: BTreeSet<&str> = all().map(|row| row.key).collect();
        assert_eq!(keys.len(), all().count());
    }
}
