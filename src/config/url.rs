//! A partner's base URL, in the one form that paths can be appended to.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use reqwest::Url;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::value;

/// An http or https URL of a host and perhaps a path, with no slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    text: String,
    host: String,
}

/// What is wrong with a URL. The URL itself is not told: a password may be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidUrl(&'static str);

// === impl BaseUrl ===

impl BaseUrl {
    /// The https URL of a host, and perhaps a path, that are known to be plain.
    pub(super) fn https(place: &str) -> Self {
        let host = place.split('/').next().unwrap_or_default().to_owned();
        Self { text: format!("https://{place}"), host }
    }

    /// The URL, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host's name or IP literal, without port or brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether what is sent there is encrypted.
    pub fn is_https(&self) -> bool {
        self.text.starts_with("https:")
    }

    /// Whether the host is this machine by its very name: a loopback IP literal, or
    /// "localhost". Other names may lead to it and do not count.
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => self.host == "localhost",
        }
    }
}

impl FromStr for BaseUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let url = http_url(text)?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidUrl("must have no query and no fragment"));
        }
        let host = url.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { text: url.as_str().trim_end_matches('/').to_owned(), host })
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for BaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        value::text(deserializer, "a URL")?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for BaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// A proxy's URL: a host and perhaps a port.
pub(super) fn proxy(text: &str) -> Result<Url, InvalidUrl> {
    let url = http_url(text)?;
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(InvalidUrl("must be a scheme, a host and a port, and nothing more"));
    }
    Ok(url)
}

fn http_url(text: &str) -> Result<Url, InvalidUrl> {
    let url = Url::parse(text).map_err(|_| InvalidUrl("is not a URL with scheme and host"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(InvalidUrl("must begin with https:// or http://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(InvalidUrl("must have no user name and no password in it"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_at_the_end_are_dropped() {
        for text in ["https://api.example", "https://api.example/", "https://API.example:443//"] {
            assert_eq!(text.parse::<BaseUrl>().unwrap().as_str(), "https://api.example");
        }
        let mounted: BaseUrl = "http://[::1]:9400/trolley/".parse().unwrap();
        assert_eq!((mounted.as_str(), mounted.host()), ("http://[::1]:9400/trolley", "::1"));
    }

    #[test]
    fn anything_but_scheme_host_and_path_is_refused() {
        for text in [
            "",
            "api.example",
            "//api.example",
            "https://",
            "ftp://api.example",
            "https://user@api.example",
            "https://:pass@api.example",
            "https://api.example?a",
            "https://api.example#a",
        ] {
            assert!(text.parse::<BaseUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_this_machine_by_name_is_loopback() {
        for host in ["127.0.0.1", "127.1", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "LOCALHOST"] {
            assert!(format!("http://{host}/").parse::<BaseUrl>().unwrap().is_loopback(), "{host}");
        }
        for host in ["10.0.0.1", "0.0.0.0", "localhost.example", "127.0.0.1.example", "[::]"] {
            assert!(!format!("http://{host}/").parse::<BaseUrl>().unwrap().is_loopback(), "{host}");
        }
    }

    #[test]
    fn a_known_host_is_as_if_parsed() {
        let known = BaseUrl::https("api.example");
        assert_eq!(known, known.as_str().parse().unwrap());
    }
}
