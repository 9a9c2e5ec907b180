//! `paquebot undelete`.

use anyhow::{Context as _, bail};
use paquebot_admin::{Answer, Request};
use paquebot_config::Config;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, PrimitiveDateTime};

use super::{ask, unexpected};
use crate::cli::Undelete;

pub async fn run(config: &Config, options: Undelete) -> anyhow::Result<()> {
    let Undelete { user, mailbox, since, list, output } = options;
    if list {
        let answer = ask(config, Request::Recoverable { user }).await?;
        let Answer::Recoverable { mailboxes } = answer else { bail!(unexpected(&answer)) };
        if output.json {
            println!("{}", serde_json::to_string(&mailboxes)?);
            return Ok(());
        }
        for found in mailboxes {
            match found.deleted_ms {
                Some(time) => {
                    println!("{}  deleted {} with {} messages", found.mailbox, told(Some(time)), found.messages)
                }
                None => println!(
                    "{}  {} messages expunged between {} and {}",
                    found.mailbox,
                    found.messages,
                    told(found.first_ms),
                    told(found.last_ms)
                ),
            }
        }
        return Ok(());
    }
    let since_ms = since.as_deref().map(milliseconds).transpose()?.unwrap_or(0);
    let answer = ask(config, Request::Undelete { user, mailbox, since_ms }).await?;
    let Answer::Undeleted { messages, mailboxes } = answer else { bail!(unexpected(&answer)) };
    if output.json {
        println!("{}", serde_json::json!({ "messages": messages, "mailboxes": mailboxes }));
    } else {
        println!("{messages} messages and {mailboxes} mailboxes are back");
    }
    Ok(())
}

fn told(time_ms: Option<u64>) -> String {
    let seconds = time_ms.and_then(|time| i64::try_from(time / 1000).ok());
    let time = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

/// A day, from its beginning, or a moment of it; UTC unless it says otherwise.
fn milliseconds(text: &str) -> anyhow::Result<u64> {
    let day = Date::parse(text, format_description!("[year]-[month]-[day]"));
    let moment = day
        .map(|day| PrimitiveDateTime::new(day, time::Time::MIDNIGHT).assume_utc())
        .or_else(|_| OffsetDateTime::parse(text, &Rfc3339));
    let moment =
        moment.with_context(|| format!("{text:?} is no time; it is like 2026-11-24 or 2026-11-24T18:30:00Z"))?;
    Ok(u64::try_from(moment.unix_timestamp_nanos() / 1_000_000).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_days_or_moments() {
        assert_eq!(milliseconds("1970-01-02").unwrap(), 86_400_000);
        assert_eq!(milliseconds("1970-01-01T01:00:00+01:00").unwrap(), 0);
        assert_eq!(milliseconds("1970-01-01T00:00:01.5Z").unwrap(), 1500);
        for bad in ["", "yesterday", "2026-13-01", "2026-11-24 18:30"] {
            assert!(milliseconds(bad).is_err(), "{bad}");
        }
        assert_eq!(told(Some(86_400_000)), "1970-01-02T00:00:00Z");
    }
}
