//! The fields that a delivery puts before a message (RFC 5321, 4.4; Received's keywords for LMTP: RFC 3848, for SMTPUTF8: RFC 6531, 4.3).

use time::OffsetDateTime;

use super::address::Address;

/// What one transaction's messages have in common.
#[derive(Debug, Clone)]
pub struct Trace {
    pub sender: Option<Address>,
    /// What the client called itself.
    pub client: String,
    /// Where it connected from, if that was not a socket of this machine.
    pub client_address: Option<std::net::IpAddr>,
    pub host_name: String,
    /// What the log calls the transaction.
    pub id: String,
    pub smtputf8: bool,
    pub unix_seconds: i64,
}

impl Trace {
    /// The fields for one recipient, `recipient` as it was given:
    ///
    /// ```text
    /// Return-Path: <sender@example.org>
    /// Delivered-To: bob+lists@example.org
    /// Received: from mx.example.org ([192.0.2.1])
    ///     by mail.example.org with LMTP
    ///     id 19a1b2c3d4e.7.1
    ///     for <bob+lists@example.org>; Tue, 24 Nov 2026 22:26:05 +0000
    /// ```
    pub fn fields(&self, recipient: &Address) -> Vec<u8> {
        let sender = self.sender.as_ref().map(Address::to_string).unwrap_or_default();
        let client_address = match self.client_address {
            Some(std::net::IpAddr::V4(address)) => format!(" ([{address}])"),
            Some(std::net::IpAddr::V6(address)) => format!(" ([IPv6:{address}])"),
            None => String::new(),
        };
        let Self { client, host_name, id, .. } = self;
        let protocol = if self.smtputf8 { "UTF8LMTP" } else { "LMTP" };
        let date = date(self.unix_seconds);
        let fields = format!(
            "Return-Path: <{sender}>\r\n\
             Delivered-To: {recipient}\r\n\
             Received: from {client}{client_address}\r\n\
             \tby {host_name} with {protocol}\r\n\
             \tid {id}\r\n\
             \tfor <{recipient}>; {date}\r\n"
        );
        fields.into_bytes()
    }
}

/// A date as RFC 5322, 3.3 has it, in UTC.
fn date(unix_seconds: i64) -> String {
    // Only a clock that is tens of thousands of years off gives no date.
    let now = OffsetDateTime::from_unix_timestamp(unix_seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (weekday, month) = (now.weekday().to_string(), now.month().to_string());
    let (hour, minute, second) = now.to_hms();
    let short = |name: &str| name.chars().take(3).collect::<String>();
    let (weekday, month) = (short(&weekday), short(&month));
    format!("{weekday}, {} {month} {:04} {hour:02}:{minute:02}:{second:02} +0000", now.day(), now.year())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(path: &str) -> Address {
        Address::parse_path(path).unwrap().0.unwrap()
    }

    #[test]
    fn the_fields_say_who_and_when() {
        let trace = Trace {
            sender: Some(address("<\"a b\"@example.org>")),
            client: "mx.example".into(),
            client_address: Some([192, 0, 2, 1].into()),
            host_name: "mail.example".into(),
            id: "s.1".into(),
            smtputf8: false,
            unix_seconds: 1_795_559_165,
        };
        let expected = "Return-Path: <\"a b\"@example.org>\r\nDelivered-To: bob+x@example.org\r\n\
                        Received: from mx.example ([192.0.2.1])\r\n\tby mail.example with LMTP\r\n\tid s.1\r\n\
                        \tfor <bob+x@example.org>; Tue, 24 Nov 2026 22:26:05 +0000\r\n";
        assert_eq!(String::from_utf8(trace.fields(&address("<bob+x@example.org>"))).unwrap(), expected);
        let bounce = Trace { sender: None, client_address: None, smtputf8: true, unix_seconds: 0, ..trace };
        let expected = "Return-Path: <>\r\nDelivered-To: josé\r\nReceived: from mx.example\r\n\
                        \tby mail.example with UTF8LMTP\r\n\tid s.1\r\n\tfor <josé>; Thu, 1 Jan 1970 00:00:00 +0000\r\n";
        assert_eq!(String::from_utf8(bounce.fields(&address("<josé>"))).unwrap(), expected);
    }
}
