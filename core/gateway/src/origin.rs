//! Which web pages may talk to us: those from here, and those whose origin is listed. A request without an origin
//! comes from no web page.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

/// The allow-list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origins {
    /// Exact, as browsers write them.
    listed: Vec<String>,
    any: bool,
}

/// What an `Origin` header is to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// There is none.
    Absent,
    /// The page came from this server.
    Same,
    /// Another origin that is listed.
    Listed(HeaderValue),
    /// Any origin is fine, but none with credentials.
    Any,
    /// Another origin.
    Foreign,
}

impl Origins {
    pub(crate) fn new(origins: &[String]) -> Self {
        let listed = origins.iter().map(|o| o.trim_end_matches('/').to_ascii_lowercase()).collect();
        Self { listed, any: origins.iter().any(|o| o == "*") }
    }

    /// Judges a request by its headers.
    pub(crate) fn judge(&self, headers: &HeaderMap) -> Origin {
        let mut values = headers.get_all(header::ORIGIN).iter();
        let Some(value) = values.next() else { return Origin::Absent };
        let Ok(text) = value.to_str() else { return Origin::Foreign };
        if values.next().is_some() {
            return Origin::Foreign;
        }
        if is_same(text, headers) {
            Origin::Same
        } else if self.listed.iter().any(|listed| listed == text) {
            Origin::Listed(value.clone())
        } else if self.any {
            Origin::Any
        } else {
            Origin::Foreign
        }
    }
}

/// Whether the origin is the host that was asked. The scheme is not compared: a proxy may speak TLS for us.
fn is_same(origin: &str, headers: &HeaderMap) -> bool {
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok());
    matches!((authority, host), (Some(authority), Some(host)) if !host.is_empty() && authority == host)
}

impl Origin {
    /// Whether the page may read answers and open links.
    pub(crate) fn may_connect(&self) -> bool {
        *self != Self::Foreign
    }

    /// Tells the browser that the page may read this answer.
    pub(crate) fn allow(&self, headers: &mut HeaderMap) {
        match self {
            Self::Listed(origin) => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            }
            Self::Any => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            }
            Self::Absent | Self::Same | Self::Foreign => return,
        }
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }

    /// The answer to a preflight, if the request is one.
    pub(crate) fn preflight<B: Default>(
        &self,
        method: &Method,
        headers: &HeaderMap,
    ) -> Option<http::Response<B>> {
        let asked = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
        if method != Method::OPTIONS {
            return None;
        }
        let mut response = http::Response::new(B::default());
        if !self.may_connect() {
            *response.status_mut() = StatusCode::FORBIDDEN;
            return Some(response);
        }
        *response.status_mut() = StatusCode::NO_CONTENT;
        let out = response.headers_mut();
        out.insert(header::ACCESS_CONTROL_ALLOW_METHODS, asked.clone());
        if let Some(wanted) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            out.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        }
        out.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        self.allow(out);
        Some(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(origin: &str) -> Origin {
        let origins = Origins::new(&["https://good.com".into(), "http://localhost:5173/".into()]);
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("hub.example:3000"));
        headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        origins.judge(&headers)
    }

    #[test]
    fn listed_and_own_pages_may_connect() {
        assert!(matches!(judge("https://good.com"), Origin::Listed(_)));
        assert!(matches!(judge("http://localhost:5173"), Origin::Listed(_)));
        assert_eq!(judge("http://hub.example:3000"), Origin::Same);
        assert_eq!(judge("https://hub.example:3000"), Origin::Same);
        assert_eq!(Origins::default().judge(&HeaderMap::new()), Origin::Absent);
    }

    #[test]
    fn look_alikes_are_foreign() {
        for origin in [
            "https://evil.example",
            "null",
            "https://good.com.evil",
            "http://good.com",
            "https://good.com:8443",
            "https://GOOD.com",
            "https://good.com.",
            "https://user@good.com",
            "https://evilgood.com",
            "https://xn--god-jua.com",
            "https://good.com/",
            "file://",
            "",
        ] {
            assert_eq!(judge(origin), Origin::Foreign, "{origin}");
        }
    }

    #[test]
    fn two_origins_are_none_of_ours() {
        let mut headers = HeaderMap::new();
        headers.append(header::ORIGIN, HeaderValue::from_static("https://good.com"));
        headers.append(header::ORIGIN, HeaderValue::from_static("https://evil.example"));
        assert_eq!(Origins::new(&["https://good.com".into()]).judge(&headers), Origin::Foreign);
    }

    #[test]
    fn star_gives_no_credentials() {
        let origin = {
            let mut headers = HeaderMap::new();
            headers.insert(header::ORIGIN, HeaderValue::from_static("https://a.example"));
            Origins::new(&["*".into()]).judge(&headers)
        };
        let mut out = HeaderMap::new();
        origin.allow(&mut out);
        assert_eq!(out[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert!(!out.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
    }
}
