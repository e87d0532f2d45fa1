//! How single settings are written: durations with a unit, addresses, files that may
//! be left out, and secrets that are read and never written.

use std::fmt;

use serde::de::{Deserializer, Error, Visitor};

/// Reads a string, or says that `expected` is.
pub(super) fn text<'de, D: Deserializer<'de>>(
    deserializer: D,
    expected: &'static str,
) -> Result<String, D::Error> {
    deserializer.deserialize_string(Text(expected))
}

struct Text(&'static str);

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<String, E> {
        Ok(text)
    }
}

/// A number and its unit: "500ms", "3.1s", "5m", "1h".
pub(super) mod duration {
    use std::time::Duration;

    use serde::{Deserializer, Serializer, de::Error};

    /// Longer ones are slips of the pen, and the clock's arithmetic is bounded.
    const LONGEST: Duration = Duration::from_secs(24 * 3600);
    const EXPECTED: &str = "a duration such as \"500ms\", \"3.1s\" or \"5m\"";

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        within(deserializer, LONGEST)
    }

    /// One that is at most `longest`.
    pub(super) fn within<'de, D: Deserializer<'de>>(
        deserializer: D,
        longest: Duration,
    ) -> Result<Duration, D::Error> {
        match parse(&super::text(deserializer, EXPECTED)?) {
            Some(duration) if duration <= longest => Ok(duration),
            Some(_) => Err(D::Error::custom(format_args!("is longer than {}", format(longest)))),
            None => Err(D::Error::custom(format_args!("is not {EXPECTED}"))),
        }
    }

    pub(in crate::config) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format(*duration))
    }

    pub(super) fn parse(text: &str) -> Option<Duration> {
        let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        if !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return None;
        }
        Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
    }

    /// The shortest form that reads as the same.
    pub(super) fn format(duration: Duration) -> String {
        let seconds = duration.as_secs();
        match duration.subsec_nanos() {
            0 if seconds > 0 && seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
            0 if seconds > 0 && seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
            0 => format!("{seconds}s"),
            nanos if seconds == 0 && nanos % 1_000_000 == 0 => format!("{}ms", nanos / 1_000_000),
            nanos => format!("{seconds}.{}s", format!("{nanos:09}").trim_end_matches('0')),
        }
    }
}

/// For how long something is kept, in the form of a [`duration`]: up to a year.
pub(super) mod retention {
    use std::time::Duration;

    use serde::Deserializer;

    pub(in crate::config) use super::duration::serialize;

    const LONGEST: Duration = Duration::from_hours(365 * 24);

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        super::duration::within(deserializer, LONGEST)
    }
}

/// An IP address and a port.
pub(super) mod address {
    use std::net::SocketAddr;

    use serde::{Deserializer, Serializer, de::Error};

    const EXPECTED: &str = "an IP address and a port, such as \"127.0.0.1:50051\"";

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SocketAddr, D::Error> {
        let text = super::text(deserializer, EXPECTED)?;
        text.parse().map_err(|_| D::Error::custom(format_args!("is not {EXPECTED}")))
    }

    pub(in crate::config) fn serialize<S: Serializer>(
        address: &SocketAddr,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(address)
    }
}

/// A file's name, "" for none.
pub(super) mod path {
    use std::path::PathBuf;

    use serde::{Deserializer, Serializer};

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<PathBuf>, D::Error> {
        let text = super::text(deserializer, "a file name")?;
        Ok(Some(text).filter(|text| !text.is_empty()).map(PathBuf::from))
    }

    pub(in crate::config) fn serialize<S: Serializer>(
        path: &Option<PathBuf>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match path {
            Some(path) => serializer.collect_str(&path.display()),
            None => serializer.serialize_str(""),
        }
    }
}

/// A proxy's URL, "" for none.
pub(super) mod proxy {
    use reqwest::Url;
    use serde::{Deserializer, Serializer, de::Error};

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Url>, D::Error> {
        match super::text(deserializer, "a URL")?.as_str() {
            "" => Ok(None),
            text => crate::config::url::proxy(text).map(Some).map_err(D::Error::custom),
        }
    }

    pub(in crate::config) fn serialize<S: Serializer>(
        url: &Option<Url>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(url.as_ref().map_or("", Url::as_str))
    }
}

/// A secret: never written, and never empty where it is given.
pub(super) mod secret {
    use secrecy::{ExposeSecret, SecretString};
    use serde::{Deserializer, Serializer, de::Error};

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SecretString, D::Error> {
        match super::text(deserializer, "a string")? {
            text if text.is_empty() => Err(D::Error::custom("is empty")),
            text => Ok(SecretString::from(text)),
        }
    }

    pub(in crate::config) fn serialize<S: Serializer>(
        secret: &SecretString,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let is_given = !secret.expose_secret().is_empty();
        serializer.serialize_str(if is_given { "[redacted]" } else { "" })
    }
}

/// A secret that need not be given: "" for none.
pub(super) mod optional_secret {
    use secrecy::SecretString;
    use serde::Deserializer;

    pub(in crate::config) use super::secret::serialize;

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SecretString, D::Error> {
        super::text(deserializer, "a string").map(SecretString::from)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::duration::{format, parse};

    #[test]
    fn a_duration_is_a_number_and_its_unit() {
        assert_eq!(parse("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse("3.1s"), Some(Duration::from_millis(3100)));
        assert_eq!(parse("5m"), Some(Duration::from_secs(300)));
        assert_eq!(parse("1.5h"), Some(Duration::from_secs(5400)));
        assert_eq!(parse("0s"), Some(Duration::ZERO));
        for text in ["", "5", "s", "5 s", "-5s", "+5s", "1e3s", "infs", "1.2.3s", "5S", "5m30s"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_duration_is_written_in_its_shortest_form() {
        for text in ["500ms", "3.1s", "90s", "5m", "24h", "0s", "0.0005s", "1.000000001s"] {
            assert_eq!(format(parse(text).unwrap()), text);
        }
    }
}
