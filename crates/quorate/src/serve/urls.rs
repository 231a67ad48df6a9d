//! The URLs of flags: `http://host:port`, nothing behind the port.
//!
//! The rules are etcd's (`types.NewURLs`, `checkBindURLs`): a scheme and a port are required, a path
//! is not allowed, and to listen the host must be an address or `localhost`, since a name could mean
//! another machine tomorrow.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One `http` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    /// As it was written.
    pub(super) text: String,
    host: String,
    port: u16,
}

/// The URLs of a list with commas, each once, in the list's order.
pub(super) fn parse_list(list: &str) -> Result<Vec<Url>, String> {
    let mut urls: Vec<Url> = Vec::new();
    for text in list
        .split(',')
        .map(str::trim)
        .filter(|text| !text.is_empty())
    {
        let url = Url::parse(text)?;
        if !urls.contains(&url) {
            urls.push(url);
        }
    }
    if urls.is_empty() {
        return Err("no URL is given".to_owned());
    }
    Ok(urls)
}

impl Url {
    /// Reads one URL, or says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Url, String> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| format!("`{text}` is not of the form http://host:port"))?;
        match scheme.to_ascii_lowercase().as_str() {
            "http" => {}
            "https" => {
                return Err(format!(
                    "`{text}` asks for TLS, which comes in a later version; Quorate refuses to start rather \
                     than to serve in the clear. On a network you trust, write http://"
                ));
            }
            "unix" | "unixs" => {
                return Err(format!(
                    "`{text}`: Unix sockets are not there yet; use http://host:port"
                ));
            }
            _ => return Err(format!("`{text}`: the scheme must be http")),
        }
        let (authority, path) = rest
            .find('/')
            .map_or((rest, ""), |slash| rest.split_at(slash));
        if !path.is_empty() {
            return Err(format!(
                "`{text}` must end behind the port, without `{path}`"
            ));
        }
        let form = || format!("`{text}` is not of the form http://host:port");
        let (host, port) = authority.rsplit_once(':').ok_or_else(form)?;
        let port = port.parse().map_err(|_| form())?;
        let host = match host.strip_prefix('[') {
            Some(inner) => {
                let inner = inner.strip_suffix(']').ok_or_else(form)?;
                inner.parse::<Ipv6Addr>().map_err(|_| form())?.to_string()
            }
            None if host.contains([':', '@', '?', '#', ' ']) => return Err(form()),
            None => host.to_ascii_lowercase(),
        };
        Ok(Url {
            text: text.to_owned(),
            host,
            port,
        })
    }

    /// The address to listen on.
    pub(super) fn listen_address(&self) -> Result<SocketAddr, String> {
        self.address()
            .map(|address| SocketAddr::new(address, self.port))
            .ok_or_else(|| {
                format!(
                    "`{}`: to listen, the host must be an IP address or localhost",
                    self.text
                )
            })
    }

    /// That others can be told of it: the host is not empty.
    pub(super) fn check_advertised(&self) -> Result<(), String> {
        if self.host.is_empty() {
            return Err(format!(
                "`{}` has no host, so nobody could reach it",
                self.text
            ));
        }
        Ok(())
    }

    /// The host's address, when the host is one; `localhost` is.
    fn address(&self) -> Option<IpAddr> {
        if self.host == "localhost" {
            return Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        self.host.parse().ok()
    }

    /// Whether two URLs name the same place, as far as can be told without asking a name server.
    pub(super) fn compare(&self, other: &Url) -> Same {
        if self.port != other.port {
            return Same::No;
        }
        match (self.address(), other.address()) {
            (Some(one), Some(other)) if one == other => Same::Yes,
            (Some(_), Some(_)) => Same::No,
            (None, None) if self.host == other.host => Same::Yes,
            _ => Same::PerhapsByName,
        }
    }
}

/// The outcome of [`Url::compare`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Same {
    /// The same host and port.
    Yes,
    /// The same port, and hosts of which at least one is a name.
    PerhapsByName,
    /// Another host or port.
    No,
}
