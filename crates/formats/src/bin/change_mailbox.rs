//! Changes a mailbox step by step and says what is done, a line each: for tests that kill it in the middle.
//!
//! `change_mailbox FORMAT DIRECTORY NAME USER GROUP HELPER`, where HELPER is the program that holds session locks.

use std::error::Error;
use std::io::{self, Write as _};

use paquebot_formats::{
    Access, Arriving, Body, Expunged, OpenMailbox, Owner, Root, SessionLockHelper, driver, use_session_lock_helper,
};
use paquebot_types::{Flags, InternalDate, Keyword, MailboxName, Uid};

struct Text(Vec<u8>);

impl Body for Text {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.within(offset, buffer.len());
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        buffer[..count].copy_from_slice(self.0.get(start..start + count).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(count)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [format, directory, name, user, group, helper] = arguments.as_slice() else { return Err("misused".into()) };
    use_session_lock_helper(SessionLockHelper { program: helper.into(), arguments: Vec::new() });
    let owner = (user != "0").then(|| Ok::<_, Box<dyn Error>>(Owner { user: user.parse()?, group: group.parse()? }));
    let root = Root { directory: directory.into(), owner: owner.transpose()?, ..Root::default() };
    let driver = driver(format).ok_or("no such format")?;
    let mut mailbox = driver.open(&root, &MailboxName::new(name)?, Access::Write)?;
    if let Some(why) = &mailbox.state().read_only {
        return Err(why.clone().into());
    }
    change(&mut *mailbox)
}

/// What the test knows by its number: see `killed.rs`.
fn change(mailbox: &mut dyn OpenMailbox) -> Result<(), Box<dyn Error>> {
    let uid = |uid| Uid::new(uid).ok_or("no UID");
    let keywords = |names: &[&str]| names.iter().map(|name| Keyword::new(name)).collect::<Result<Vec<_>, _>>();
    mailbox.refresh(Expunged::Leave)?;
    say("looked")?;
    append(mailbox, "four", 20)?;
    say("appended")?;
    mailbox.store(&[(uid(1)?, Flags::SEEN.union(Flags::FLAGGED), Vec::new())])?;
    say("flagged")?;
    let long = keywords(&["AKeywordThatNeedsRoom", "AnotherThatNeedsMoreRoom"])?;
    mailbox.store(&[(uid(2)?, Flags::ANSWERED, long)])?;
    say("named")?;
    mailbox.expunge(&[uid(1)?, uid(3)?].into_iter().collect())?;
    say("expunged")?;
    // Longer than what is written at once.
    append(mailbox, "five", 30_000)?;
    say("appended")?;
    mailbox.store(&[(uid(5)?, Flags::SEEN, Vec::new())])?;
    say("flagged")?;
    Ok(())
}

fn append(mailbox: &mut dyn OpenMailbox, subject: &str, lines: usize) -> Result<(), Box<dyn Error>> {
    let text = format!("Subject: {subject}\r\n\r\n{}", format!("a line of {subject}\r\n").repeat(lines));
    let mut body = Text(text.into_bytes());
    let internal_date = InternalDate::utc(1_173_118_530);
    let arriving = Arriving { flags: Flags::NONE, keywords: Vec::new(), internal_date, body: &mut body, uid: None };
    mailbox.append(&mut [arriving])?;
    Ok(())
}

fn say(word: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{word}")?;
    out.flush()
}
