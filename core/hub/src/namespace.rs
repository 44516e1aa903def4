//! Paths with `{name}` segments: how namespaces and routes are matched. Pure.

use std::fmt;

/// A declared path: `/`, `/chat`, `/public-room/{roomId}`, `/meetings/{id}/results`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Plain(String),
    Param(String),
}

/// Names and values of `{name}` segments.
pub type Params = Vec<(String, String)>;

impl Pattern {
    /// Reads a declared path.
    ///
    /// # Errors
    /// A sentence saying what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix('/').ok_or_else(|| format!("the path `{text}` must start with `/`"))?;
        let mut segments = Vec::new();
        for part in rest.split('/').filter(|_| !rest.is_empty()) {
            segments.push(
                Segment::parse(part)
                    .ok_or_else(|| format!("the path `{text}` has a bad segment `{part}`"))?,
            );
        }
        Ok(Self { text: text.to_owned(), segments })
    }

    /// The values of the `{name}` segments if `path` fits. `decode`: take `%XX` apart, as in URLs.
    pub fn matches(&self, path: &str, decode: bool) -> Option<Params> {
        let rest = path.strip_prefix('/')?;
        let mut parts = rest.split('/').filter(|_| !rest.is_empty());
        let mut params = Vec::new();
        for segment in &self.segments {
            let part = parts.next()?;
            match segment {
                Segment::Plain(plain) if plain == part => {}
                Segment::Plain(_) => return None,
                Segment::Param(_) if part.is_empty() => return None,
                Segment::Param(name) => {
                    let value = if decode { percent_decoded(part)? } else { part.to_owned() };
                    params.push((name.clone(), value));
                }
            }
        }
        parts.next().is_none().then_some(params)
    }

    /// How many `{name}` segments; of two patterns that fit, the one with fewer wins.
    pub fn params(&self) -> usize {
        self.segments.iter().filter(|s| matches!(s, Segment::Param(_))).count()
    }

    /// Whether some path fits both equally well, so that neither could win.
    pub fn clashes(&self, other: &Self) -> bool {
        self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(|pair| match pair {
                (Segment::Plain(a), Segment::Plain(b)) => a == b,
                (Segment::Param(_), Segment::Param(_)) => true,
                _ => false,
            })
    }

    /// The path as it was declared.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Segment {
    fn parse(part: &str) -> Option<Self> {
        if let Some(name) = part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
            let good = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            return good.then(|| Self::Param(name.to_owned()));
        }
        (!part.is_empty() && !part.contains(['{', '}', '?', '#', ','])).then(|| Self::Plain(part.to_owned()))
    }
}

/// Takes `%XX` apart; `None` when it is no UTF-8, badly written, or holds a NUL.
pub fn percent_decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let high = char::from(rest.next()?).to_digit(16)?;
        let low = char::from(rest.next()?).to_digit(16)?;
        bytes.push((high * 16 + low) as u8);
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pattern: &str, path: &str) -> Option<Params> {
        Pattern::parse(pattern).unwrap().matches(path, true)
    }

    #[test]
    fn plain_paths_match_whole() {
        assert_eq!(params("/", "/"), Some(vec![]));
        assert_eq!(params("/chat", "/chat"), Some(vec![]));
        for path in ["/", "/chat/", "/chat/x", "chat", "/Chat"] {
            assert_eq!(params("/chat", path), None, "{path}");
        }
    }

    #[test]
    fn params_take_one_segment() {
        let one = |value: &str| Some(vec![("id".to_owned(), value.to_owned())]);
        assert_eq!(params("/m/{id}/votes", "/m/7/votes"), one("7"));
        assert_eq!(params("/m/{id}", "/m/a%2Fb"), one("a/b"));
        assert_eq!(params("/m/{id}", "/m/"), None);
        assert_eq!(params("/m/{id}", "/m/a/b"), None);
        assert_eq!(params("/m/{id}", "/m/%zz"), None);
        assert_eq!(params("/m/{id}", "/m/%FF"), None);
    }

    #[test]
    fn bad_patterns_are_refused() {
        for bad in ["", "chat", "/a//b", "/{}", "/{a b}", "/a{b}", "/a?b", "/a,b"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn equal_shapes_clash() {
        let clash = |a, b| Pattern::parse(a).unwrap().clashes(&Pattern::parse(b).unwrap());
        assert!(clash("/r/{id}", "/r/{name}"));
        assert!(!clash("/r/{id}", "/r/stats"));
        assert!(!clash("/r/{id}", "/r/{id}/x"));
    }
}
