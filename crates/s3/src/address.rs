//! `s3://bucket/prefix?endpoint=...&region=...`

use std::net::IpAddr;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

/// Where packs are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub bucket: String,
    /// What the names of objects begin with; no slash at its ends, and empty for none.
    pub prefix: String,
    /// Without it, AWS.
    pub endpoint: Option<String>,
    pub region: String,
}

/// What is wrong with an address. Each names the configuration's key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error(
        "cluster.s3: {0:?} is no address; it is like \"s3://bucket/prefix?endpoint=https://s3.example.org&region=eu-1\""
    )]
    Form(String),
    #[error("cluster.s3: {0:?} is not known; there are `endpoint` and `region`")]
    Parameter(String),
    #[error("cluster.s3: the endpoint {0:?} is not https://, and http:// is for this machine alone")]
    Plain(String),
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let form = || AddressError::Form(text.to_owned());
        let rest = text.strip_prefix("s3://").ok_or_else(form)?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if bucket.is_empty() || !bucket.bytes().all(is_name) || prefix.contains("//") {
            return Err(form());
        }
        let mut address = Self {
            bucket: bucket.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
            endpoint: None,
            region: "us-east-1".to_owned(),
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or_else(form)?;
            let value = percent_decode_str(value).decode_utf8().map_err(|_| form())?.into_owned();
            match name {
                "endpoint" => address.endpoint = Some(endpoint(value)?),
                "region" => address.region = value,
                _ => return Err(AddressError::Parameter(name.to_owned())),
            }
        }
        Ok(address)
    }
}

fn endpoint(url: String) -> Result<String, AddressError> {
    if url.strip_prefix("https://").is_some_and(|host| !host.is_empty()) {
        return Ok(url);
    }
    let Some(rest) = url.strip_prefix("http://") else { return Err(AddressError::Plain(url)) };
    let host = rest.split('/').next().unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(literal) => literal.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if is_here { Ok(url) } else { Err(AddressError::Plain(url)) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_says_bucket_prefix_endpoint_and_region() {
        let address: Address = "s3://mail/a/b/?endpoint=http%3A//127.0.0.1:8333&region=eu-1".parse().unwrap();
        assert_eq!((address.bucket.as_str(), address.prefix.as_str()), ("mail", "a/b"));
        assert_eq!((address.endpoint.as_deref(), address.region.as_str()), (Some("http://127.0.0.1:8333"), "eu-1"));
        let address: Address = "s3://mail".parse().unwrap();
        assert_eq!((address.prefix.as_str(), address.endpoint), ("", None));
        "s3://mail?endpoint=http://[::1]:8333".parse::<Address>().unwrap();
    }

    #[test]
    fn what_is_no_address_is_refused_by_the_key_s_name() {
        for text in [
            "",
            "mail",
            "https://mail",
            "s3://",
            "s3:///prefix",
            "s3://ma il",
            "s3://mail/a//b",
            "s3://mail?endpoint",
            "s3://mail?endpont=https://x",
            "s3://mail?endpoint=http://10.0.0.1:8333",
            "s3://mail?endpoint=http://localhost.example.org",
            "s3://mail?endpoint=x",
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.to_string().contains("cluster.s3"), "{text}: {error}");
        }
    }
}
