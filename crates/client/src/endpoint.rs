//! The address of one member, in the forms that etcd's tools take.

use std::fmt;
use std::str::FromStr;

use tonic::transport::Uri;

use crate::Error;

/// One member's client address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    given: String,
    uri: Uri,
}

impl Endpoint {
    /// The text it was made from; what messages call it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.given
    }

    /// Where to connect to.
    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.given)
    }
}

impl FromStr for Endpoint {
    type Err = Error;

    /// Takes `host:port` and `http://host:port`.
    fn from_str(given: &str) -> Result<Self, Error> {
        let bad = |reason: &str| Error::BadEndpoint {
            endpoint: given.to_owned(),
            reason: reason.to_owned(),
        };
        let rest = match given.split_once("://") {
            None => given,
            Some(("http", rest)) => rest,
            Some(("https", _)) => return Err(bad("TLS is not supported yet, use http://")),
            Some(("unix" | "unixs", _)) => return Err(bad("unix sockets are not supported")),
            Some((scheme, _)) => return Err(bad(&format!("unknown scheme {scheme}"))),
        };
        let uri = Uri::from_str(&format!("http://{rest}"))
            .map_err(|error| bad(&format!("{error}, expected host:port")))?;
        if uri.host().is_none_or(str::is_empty) || uri.port().is_none() {
            return Err(bad("expected host:port"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(bad("expected host:port and nothing after it"));
        }
        Ok(Self {
            given: given.to_owned(),
            uri,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_with_or_without_scheme() {
        for given in [
            "127.0.0.1:2379",
            "http://node-1:2379",
            "[::1]:2379",
            "http://a:1/",
        ] {
            let endpoint: Endpoint = given.parse().unwrap();
            assert_eq!(endpoint.as_str(), given);
            assert_eq!(endpoint.uri().scheme_str(), Some("http"));
        }
    }

    #[test]
    fn what_is_not_an_endpoint_is_named() {
        let reason = |given: &str| given.parse::<Endpoint>().unwrap_err().to_string();
        assert_eq!(
            reason("localhost"),
            r#"bad endpoint "localhost": expected host:port"#
        );
        assert!(reason("https://a:1").contains("TLS is not supported yet"));
        assert!(reason("ftp://a:1").contains("unknown scheme ftp"));
        assert!(reason("a:1/x").contains("nothing after it"));
        assert!(reason("").contains("expected host:port"));
        assert!(reason("a b:1").contains("expected host:port"));
    }
}
