//! The way out where there is no direct one: a proxy that is asked with CONNECT, so that it sees no more than a name and
//! a port. It is for https alone; plain http only ever goes to this machine.

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;

use crate::forge::ForgeError;

/// What `HTTPS_PROXY` and `NO_PROXY` say. The first may have a password in it.
#[derive(Clone, Default)]
pub struct Proxy {
    https: String,
    no: String,
}

impl Proxy {
    pub fn new(https: &str, no: &str) -> Proxy {
        Proxy { https: https.trim().to_owned(), no: no.to_owned() }
    }

    /// The proxy for an address, as the variable has it; git reads it in the same way.
    pub fn for_address(&self, url: &str) -> Option<&str> {
        let url: Uri = url.parse().ok().filter(|url: &Uri| url.scheme_str() == Some("https"))?;
        self.matcher().intercept(&url).map(|_| self.https.as_str())
    }

    /// A connector through the proxy, where one is to be used.
    pub(super) fn tunnel<C>(&self, origin: &str, to_proxy: C) -> Result<Option<Tunnel<C>>, ForgeError> {
        let Some(url) = origin.parse::<Uri>().ok().filter(|url| url.scheme_str() == Some("https")) else {
            return Ok(None);
        };
        let matcher = self.matcher();
        if let Some(hop) = matcher.intercept(&url) {
            if hop.uri().scheme_str() != Some("http") {
                return Err(ForgeError::Other(
                    "HTTPS_PROXY names a proxy that is not spoken to by http: write `http://HOST:PORT`".into(),
                ));
            }
            let tunnel = Tunnel::new(hop.uri().clone(), to_proxy);
            return Ok(Some(match hop.basic_auth() {
                Some(header) => tunnel.with_auth(HeaderValue::clone(header)),
                None => tunnel,
            }));
        }
        if !self.https.is_empty() && matcher_of(&self.https, "").intercept(&url).is_none() {
            return Err(ForgeError::Other("HTTPS_PROXY cannot be read: write `http://HOST:PORT`".into()));
        }
        Ok(None)
    }

    fn matcher(&self) -> Matcher {
        matcher_of(&self.https, &self.no)
    }
}

fn matcher_of(https: &str, no: &str) -> Matcher {
    Matcher::builder().https(https.to_owned()).no(no.to_owned()).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_for_https_and_for_what_is_not_excepted() {
        let proxy = Proxy::new("http://me:pass@proxy.example:3128", "localhost,.acme.example,10.0.0.0/8");
        for (url, through) in [
            ("https://api.github.com", true),
            ("https://git.acme.example", false),
            ("https://10.1.2.3", false),
            ("http://127.0.0.1:4010", false),
        ] {
            assert_eq!(proxy.for_address(url).is_some(), through, "{url}");
            assert_eq!(proxy.tunnel(url, ()).unwrap().is_some(), through, "{url}");
        }
        assert_eq!(Proxy::default().for_address("https://api.github.com"), None);
        assert!(Proxy::new("proxy.example:3128", "").tunnel("https://api.github.com", ()).unwrap().is_some());
        let socks = Proxy::new("socks5://proxy.example", "").tunnel("https://api.github.com", ());
        assert!(socks.unwrap_err().to_string().contains("http://HOST:PORT"));
        let garbled = Proxy::new("http://me:canary@@ x", "").tunnel("https://api.github.com", ());
        assert!(!garbled.unwrap_err().to_string().contains("canary"));
    }
}
