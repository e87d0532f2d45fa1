//! Where calls may go (requirement S10).
//!
//! The base URL is the operator's, and yet its name may be made to point into the
//! cluster: a resolved address is looked at on every connection, so an answer that
//! changes between two look-ups gets nowhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::error::Error;

const LOCALHOST: &str = "localhost";

/// A checked base URL.
#[derive(Clone, Debug)]
pub(super) struct BaseUrl {
    /// Scheme, authority and path prefix, without a slash at the end.
    text: String,
    host: String,
    port: Option<u16>,
}

/// Resolves names to addresses that calls may go to.
#[derive(Debug)]
pub(super) struct Resolver {
    allow_private_addresses: bool,
    /// The proxy's name, which the operator vouches for.
    proxy_host: Option<String>,
}

/// Which addresses a name may stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Allowed {
    Any,
    Loopback,
    Public,
}

#[derive(Debug, thiserror::Error)]
#[error("the name has no address that calls may go to")]
struct NoUsableAddress;

// === impl BaseUrl ===

impl BaseUrl {
    /// Checks `text`; the error says what is wrong with it.
    pub(super) fn parse(text: &str, allow_private_addresses: bool) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("it is not a URL: {error}"))?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let has_more = !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some();
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        let is_loopback = host == LOCALHOST || address.is_some_and(|address| address.is_loopback());
        let may_be_private = is_loopback || allow_private_addresses;
        match url.scheme() {
            _ if host.is_empty() => return Err("it has no host".to_owned()),
            _ if has_more => return Err("it may have a path and nothing else".to_owned()),
            "https" => {}
            "http" if may_be_private => {}
            _ => return Err("it must be https".to_owned()),
        }
        if address.is_some_and(|address| !is_public(address)) && !may_be_private {
            return Err("its address is not a public one".to_owned());
        }
        let path = url.path().trim_end_matches('/');
        let (origin, port) = (url.origin().ascii_serialization(), url.port_or_known_default());
        Ok(Self { text: format!("{origin}{path}"), host, port })
    }

    /// The host, an IPv6 address in brackets.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The port, the scheme's own if the URL has none.
    pub(super) fn port(&self) -> Option<u16> {
        self.port
    }

    /// The URL of `target`, a path with a query.
    ///
    /// # Errors
    /// When the URL would not be sent exactly as it is put together here: a signature
    /// covers the bytes of the target.
    pub(super) fn join(&self, target: &str) -> Result<Url, Error> {
        let text = format!("{}{target}", self.text);
        let url = Url::parse(&text).map_err(Error::internal)?;
        let is_whole = url.as_str() == text && url.fragment().is_none();
        if !is_whole || !target.starts_with('/') {
            return Err(Error::internal("the target is not a path and query as they are sent"));
        }
        Ok(url)
    }
}

// === impl Resolver ===

impl Resolver {
    pub(super) fn new(allow_private_addresses: bool, proxy_host: Option<String>) -> Arc<Self> {
        Arc::new(Self { allow_private_addresses, proxy_host })
    }

    fn allowed(&self, name: &str) -> Allowed {
        match name {
            _ if self.allow_private_addresses => Allowed::Any,
            _ if self.proxy_host.as_deref() == Some(name) => Allowed::Any,
            LOCALHOST => Allowed::Loopback,
            _ => Allowed::Public,
        }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.allowed(name.as_str());
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let usable: Vec<_> = found.filter(|found| allowed.has(found)).collect();
            if usable.is_empty() {
                return Err(NoUsableAddress.into());
            }
            let usable: Addrs = Box::new(usable.into_iter());
            Ok(usable)
        })
    }
}

// === impl Allowed ===

impl Allowed {
    fn has(self, address: &SocketAddr) -> bool {
        match self {
            Allowed::Any => true,
            Allowed::Loopback => address.ip().is_loopback(),
            Allowed::Public => is_public(address.ip()),
        }
    }
}

/// Whether `address` is one of the public internet, by IANA's special-purpose registries.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        // This network, carrier-grade NAT, protocol assignments, the old 6to4 relay,
        // benchmarks, multicast and everything above.
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || (a, b, c) == (192, 88, 99)
        || (a == 198 && (18..20).contains(&b))
        || a >= 224;
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // What a resolver makes of an IPv4 address for a network without IPv4.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        // Protocol assignments (Teredo among them), documentation, 6to4.
        [0x2001, 0..0x200 | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..0x1000, ..] => false,
        // Only this eighth is given out; loopback, mapped, local and the rest are outside.
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

#[cfg(test)]
mod tests;
