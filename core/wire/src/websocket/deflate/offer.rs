//! `Sec-WebSocket-Extensions`: what a client offers, and which offer is taken with which answer.

use super::Window;

/// What both sides have agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// The window for what we compress.
    pub window: Window,
    /// The `Sec-WebSocket-Extensions` of the answer.
    pub answer: String,
}

/// Takes the first offer of permessage-deflate that can be kept; the others are declined. `headers` are the values
/// of all `Sec-WebSocket-Extensions` of the request, in order.
///
/// Neither side may take context over from one message to the next: a client must follow what the answer says of
/// it, whether it offered it or not (RFC 7692, 7.1.1.2).
pub fn negotiate<'h>(headers: impl IntoIterator<Item = &'h str>) -> Option<Agreed> {
    headers
        .into_iter()
        .flat_map(|header| split(header, ','))
        .filter_map(parameters)
        .find_map(|offer| Offer::read(offer).map(Offer::answer))
}

/// One offer. What a client says of its own window needs no answer: any window can be inflated.
#[derive(Debug, Default)]
struct Offer {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    client_max_window_bits: bool,
}

impl Offer {
    /// Reads parameters; `None` when one is unknown, comes twice or has a value that it must not have.
    fn read<'o>(parameters: impl Iterator<Item = &'o str>) -> Option<Self> {
        let mut offer = Self::default();
        for parameter in parameters {
            let (name, value) = match parameter.split_once('=') {
                Some((name, value)) => (name.trim(), Some(unquoted(value.trim())?)),
                None => (parameter, None),
            };
            let new = match (name.to_ascii_lowercase().as_str(), value) {
                ("server_no_context_takeover", None) => {
                    !std::mem::replace(&mut offer.server_no_context_takeover, true)
                }
                ("client_no_context_takeover", None) => {
                    !std::mem::replace(&mut offer.client_no_context_takeover, true)
                }
                ("server_max_window_bits", Some(value)) => {
                    offer.server_max_window_bits.replace(bits(value)?).is_none()
                }
                ("client_max_window_bits", value) => {
                    value.map_or(Some(0), bits)?;
                    !std::mem::replace(&mut offer.client_max_window_bits, true)
                }
                _ => false,
            };
            if !new {
                return None;
            }
        }
        Some(offer)
    }

    /// What is agreed on.
    fn answer(self) -> Agreed {
        let mut answer =
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover".to_owned();
        let window = match self.server_max_window_bits {
            None => Window::Wide,
            Some(bits) => {
                answer.push_str(&format!("; server_max_window_bits={bits}"));
                Window::of_bits(bits)
            }
        };
        Agreed { window, answer }
    }
}

/// The parameters of an offer of permessage-deflate; `None` for other extensions.
fn parameters(offer: &str) -> Option<impl Iterator<Item = &str>> {
    let mut parts = split(offer, ';');
    parts.next()?.eq_ignore_ascii_case("permessage-deflate").then_some(parts)
}

/// 8 to 15 without leading zeros.
fn bits(value: &str) -> Option<u8> {
    match value.as_bytes() {
        [b'8' | b'9'] | [b'1', b'0'..=b'5'] => value.parse().ok(),
        _ => None,
    }
}

/// The value of a parameter; `None` when its quotes are broken or there is none. No value that we know needs an
/// escape, so none is undone.
fn unquoted(value: &str) -> Option<&str> {
    let inner = match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?,
        None => value,
    };
    (!inner.is_empty() && !inner.contains('"')).then_some(inner)
}

/// Splits at a separator outside of quotes and trims what is between.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        let was_escaped = std::mem::replace(&mut escaped, false);
        match c {
            '"' if !was_escaped => quoted = !quoted,
            '\\' if quoted && !was_escaped => escaped = true,
            _ => {}
        }
        c == separator && !quoted
    })
    .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

    fn agreed(header: &str) -> Option<(Window, String)> {
        negotiate([header]).map(|a| (a.window, a.answer.strip_prefix(BASE).unwrap().to_owned()))
    }

    #[test]
    fn good_offers_are_taken() {
        for offer in [
            "permessage-deflate",
            "Permessage-Deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; client_max_window_bits=10",
            "permessage-deflate;client_max_window_bits=\"15\"",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            "x-webkit-deflate-frame, permessage-deflate",
            "x-other; a=\"1, permessage-deflate; nonsense\", permessage-deflate",
        ] {
            assert_eq!(agreed(offer), Some((Window::Wide, String::new())), "{offer}");
        }
    }

    #[test]
    fn smaller_windows_share_the_narrow_one() {
        let narrow = |bits| Some((Window::Narrow, format!("; server_max_window_bits={bits}")));
        for bits in 8..=14 {
            assert_eq!(agreed(&format!("permessage-deflate; server_max_window_bits={bits}")), narrow(bits));
        }
        let wide = Some((Window::Wide, "; server_max_window_bits=15".to_owned()));
        assert_eq!(agreed("permessage-deflate; server_max_window_bits=\"15\""), wide);
    }

    #[test]
    fn bad_offers_are_declined() {
        for offer in [
            "",
            "permessage-bzip2",
            "permessage-deflatex",
            "permessage-deflate; unknown",
            "permessage-deflate;",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover=true",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; client_max_window_bits; client_max_window_bits=9",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=09",
            "permessage-deflate; server_max_window_bits=+9",
            "permessage-deflate; client_max_window_bits=0",
            "permessage-deflate; client_max_window_bits=\"9",
            "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
        ] {
            assert_eq!(agreed(offer), None, "{offer}");
        }
    }

    #[test]
    fn next_offer_gets_its_chance() {
        let offers =
            "permessage-deflate; server_max_window_bits=7, permessage-deflate; client_max_window_bits";
        assert_eq!(agreed(offers), Some((Window::Wide, String::new())));
        let headers = ["permessage-deflate; nonsense", "permessage-deflate; server_max_window_bits=9"];
        assert_eq!(negotiate(headers).map(|a| a.window), Some(Window::Narrow));
    }
}
