//! `paquebot undelete`.

use anyhow::{Context as _, bail};
use paquebot_admin::{Answer, Recoverable, Request};
use paquebot_config::Config;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, Duration, OffsetDateTime, PrimitiveDateTime};

use super::{ask, unexpected};
use crate::cli::Undelete;

pub async fn run(config: &Config, options: Undelete) -> anyhow::Result<()> {
    let Undelete { user, mailbox, since, list, output } = options;
    let since_ms = since.as_deref().map(milliseconds).transpose()?.unwrap_or(0);
    if list {
        let answer = ask(config, Request::Recoverable { user, mailbox, since_ms }).await?;
        let Answer::Recoverable { mailboxes } = answer else { bail!(unexpected(&answer)) };
        if output.json {
            println!("{}", serde_json::to_string(&mailboxes)?);
        } else {
            mailboxes.iter().for_each(show);
        }
        return Ok(());
    }
    let answer = ask(config, Request::Undelete { user, mailbox, since_ms }).await?;
    let Answer::Undeleted { messages, mailboxes } = answer else { bail!(unexpected(&answer)) };
    if output.json {
        println!("{}", serde_json::json!({ "messages": messages, "mailboxes": mailboxes }));
    } else {
        println!("{messages} messages and {mailboxes} mailboxes are back");
    }
    Ok(())
}

fn show(found: &Recoverable) {
    if let Some(time) = found.deleted_ms {
        println!("{}  deleted {} with {} messages", found.mailbox, told(Some(time)), found.held);
    }
    if found.expunged > 0 {
        let (first, last) = (told(found.first_ms), told(found.last_ms));
        println!("{}  {} messages expunged from {first} to {last}", found.mailbox, found.expunged);
    }
}

fn told(time_ms: Option<u64>) -> String {
    let seconds = time_ms.and_then(|time| i64::try_from(time / 1000).ok());
    let time = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

/// A day, from its beginning, or a moment of it, UTC unless it says otherwise; or how long ago.
fn milliseconds(text: &str) -> anyhow::Result<u64> {
    let moment = ago(text).or_else(|| moment(text));
    let moment = moment
        .with_context(|| format!("{text:?} is no time; it is like 2026-11-24, 2026-11-24T18:30:00Z, 90m, 2h or 3d"))?;
    Ok(u64::try_from(moment.unix_timestamp_nanos() / 1_000_000).unwrap_or(0))
}

fn moment(text: &str) -> Option<OffsetDateTime> {
    match Date::parse(text, format_description!("[year]-[month]-[day]")) {
        Ok(day) => Some(PrimitiveDateTime::new(day, time::Time::MIDNIGHT).assume_utc()),
        Err(_) => OffsetDateTime::parse(text, &Rfc3339).ok(),
    }
}

fn ago(text: &str) -> Option<OffsetDateTime> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u32 = number.parse().ok()?;
    let unit = match unit {
        "m" => Duration::MINUTE,
        "h" => Duration::HOUR,
        "d" => Duration::DAY,
        _ => return None,
    };
    OffsetDateTime::now_utc().checked_sub(unit.checked_mul(i32::try_from(number).ok()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_days_or_moments() {
        assert_eq!(milliseconds("1970-01-02").unwrap(), 86_400_000);
        assert_eq!(milliseconds("1970-01-01T01:00:00+01:00").unwrap(), 0);
        assert_eq!(milliseconds("1970-01-01T00:00:01.5Z").unwrap(), 1500);
        let two_hours_ago = u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap() * 1000 - 7_200_000;
        assert!(milliseconds("2h").unwrap().abs_diff(two_hours_ago) < 60_000);
        assert!(milliseconds("90m").unwrap() > milliseconds("2h").unwrap());
        for bad in ["", "h", "-2h", "2w", "9999999999d", "é", "yesterday", "2026-13-01", "2026-11-24 18:30"] {
            assert!(milliseconds(bad).is_err(), "{bad}");
        }
        assert_eq!(told(Some(86_400_000)), "1970-01-02T00:00:00Z");
    }
}
