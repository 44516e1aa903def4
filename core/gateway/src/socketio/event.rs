//! The payloads that clients send: the event's name is read, the arguments are cut out as they are.

use bytes::Bytes;
use serde::{
    Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use super::packet::Payload;

/// Deepest nesting of arrays and objects.
const MAX_DEPTH: usize = 128;
/// Names that Socket.IO itself gives meaning to.
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// Why an event was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadEvent {
    /// No JSON array that begins with a name, or attachments that do not fit their placeholders.
    Malformed,
    /// Nested too deeply.
    TooDeep,
    /// A name that clients may not use.
    Reserved,
    /// A name beyond the limit.
    LongName,
}

impl BadEvent {
    /// The sentence for the client.
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Self::Malformed => "the event is malformed",
            Self::TooDeep => "the arguments are nested too deeply",
            Self::Reserved => "the event's name is reserved",
            Self::LongName => "the event's name is too long",
        }
    }
}

/// Takes `["name",arg…]` apart into the name and `[arg…]`.
pub(crate) fn take_apart(payload: &Payload, longest_name: usize) -> Result<(Box<str>, Bytes), BadEvent> {
    let text = payload.text.trim_end();
    check(payload, text)?;
    let first = first_two(text).ok_or(BadEvent::Malformed)?;
    // Names may come with escapes: some clients write all but ASCII as \uXXXX.
    let name: String = serde_json::from_str(first.name.get()).map_err(|_| BadEvent::Malformed)?;
    if RESERVED.contains(&name.as_str()) {
        return Err(BadEvent::Reserved);
    }
    if name.len() > longest_name {
        return Err(BadEvent::LongName);
    }
    let args = match first.argument {
        None => Bytes::from_static(b"[]"),
        Some(argument) => {
            let from = argument.get().as_ptr() as usize - text.as_ptr() as usize;
            let mut args = Vec::with_capacity(text.len() - from + 1);
            args.push(b'[');
            args.extend_from_slice(&text.as_bytes()[from..]);
            args.into()
        }
    };
    Ok((name.into(), args))
}

/// Checks the arguments of an acknowledgement: any JSON array.
pub(crate) fn arguments(payload: &Payload) -> Result<Bytes, BadEvent> {
    let text = payload.text.trim();
    check(payload, text)?;
    if !text.starts_with('[') || serde_json::from_str::<IgnoredAny>(text).is_err() {
        return Err(BadEvent::Malformed);
    }
    Ok(Bytes::copy_from_slice(text.as_bytes()))
}

fn check(payload: &Payload, text: &str) -> Result<(), BadEvent> {
    if nests_deeper(text, MAX_DEPTH) {
        return Err(BadEvent::TooDeep);
    }
    if payload.attachments.is_empty() || placeholders_match(text, payload.attachments.len()) {
        Ok(())
    } else {
        Err(BadEvent::Malformed)
    }
}

/// Whether JSON text nests arrays and objects deeper than `limit`. Does not recurse, unlike parsers.
pub(crate) fn nests_deeper(text: &str, limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Whether the placeholders in `text` name each of the attachments once.
fn placeholders_match(text: &str, attachments: usize) -> bool {
    let Ok(value) = serde_json::from_str(text) else { return false };
    let mut seen = vec![false; attachments];
    mark_placeholders(&value, &mut seen) && seen.iter().all(|seen| *seen)
}

fn mark_placeholders(value: &Value, seen: &mut [bool]) -> bool {
    match value {
        Value::Array(items) => items.iter().all(|item| mark_placeholders(item, seen)),
        Value::Object(fields) if fields.get("_placeholder") == Some(&Value::Bool(true)) => {
            let number = fields.get("num").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
            let slot = number.and_then(|n| seen.get_mut(n));
            slot.is_some_and(|seen| !std::mem::replace(seen, true))
        }
        Value::Object(fields) => fields.values().all(|field| mark_placeholders(field, seen)),
        _ => true,
    }
}

/// The first two elements of an array as they are written.
struct FirstTwo<'t> {
    name: &'t RawValue,
    argument: Option<&'t RawValue>,
}

/// Reads the whole text, so that what passes is JSON to its end.
fn first_two(text: &str) -> Option<FirstTwo<'_>> {
    struct Elements;

    impl<'de> Visitor<'de> for Elements {
        type Value = FirstTwo<'de>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an array that begins with an event's name")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let name = seq.next_element()?.ok_or_else(|| serde::de::Error::invalid_length(0, &self))?;
            let argument = seq.next_element()?;
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok(FirstTwo { name, argument })
        }
    }

    let mut json = serde_json::Deserializer::from_str(text);
    let elements = json.deserialize_seq(Elements).ok()?;
    json.end().ok()?;
    Some(elements)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn payload(text: &str, attachments: usize) -> Payload {
        Payload { text: text.to_owned(), attachments: vec![Bytes::new(); attachments] }
    }

    fn apart(text: &str) -> Result<(String, String), BadEvent> {
        take_apart(&payload(text, 0), 50)
            .map(|(name, args)| (name.into(), String::from_utf8(args.to_vec()).unwrap()))
    }

    fn ok(name: &str, args: &str) -> Result<(String, String), BadEvent> {
        Ok((name.to_owned(), args.to_owned()))
    }

    #[test]
    fn arguments_stay_as_written() {
        assert_eq!(apart(r#"["a"]"#), ok("a", "[]"));
        assert_eq!(apart(r#"["a",1, {"x" : [2]}]"#), ok("a", r#"[1, {"x" : [2]}]"#));
        assert_eq!(apart("[ \"a\" , null ] \n"), ok("a", "[null ]"));
    }

    #[test]
    fn names_may_be_escaped() {
        assert_eq!(apart(r#"["caf\u00e9",1]"#), ok("café", "[1]"));
        assert_eq!(apart(r#"["a\"b"]"#), ok("a\"b", "[]"));
    }

    #[test]
    fn other_json_is_malformed() {
        for text in ["", "{}", "[]", "[1]", "[null]", r#"["a""#, r#"["a",]"#, r#"["a"]x"#, r#"["\ud800"]"#] {
            assert_eq!(apart(text), Err(BadEvent::Malformed), "{text}");
        }
    }

    #[test]
    fn reserved_and_long_names_are_refused() {
        assert_eq!(apart(r#"["disconnect"]"#), Err(BadEvent::Reserved));
        assert_eq!(apart(r#"["conn\u0065ct"]"#), Err(BadEvent::Reserved));
        assert_eq!(apart(&format!(r#"["{}"]"#, "x".repeat(51))), Err(BadEvent::LongName));
    }

    #[test]
    fn depth_is_limited_without_recursion() {
        let nested = |depth: usize| format!(r#"["a",{}{}]"#, "[".repeat(depth), "]".repeat(depth));
        assert!(apart(&nested(127)).is_ok());
        assert_eq!(apart(&nested(128)), Err(BadEvent::TooDeep));
        assert_eq!(apart(&nested(500_000)), Err(BadEvent::TooDeep));
        assert!(apart(&format!(r#"["a","{}\"{}"]"#, "[".repeat(200), "{".repeat(200))).is_ok());
    }

    #[test]
    fn placeholders_must_fit_the_attachments() {
        let take = |text: &str, attachments| take_apart(&payload(text, attachments), 50).is_ok();
        let one = r#"["a",{"_placeholder":true,"num":0}]"#;
        assert!(take(one, 1));
        assert!(!take(one, 2));
        assert!(!take(r#"["a",{"_placeholder":true,"num":1}]"#, 1));
        assert!(!take(r#"["a",{"_placeholder":true,"num":-1}]"#, 1));
        assert!(!take(r#"["a",{"_placeholder":true,"num":0},[{"_placeholder":true,"num":0}]]"#, 1));
    }

    #[test]
    fn acknowledgements_are_arrays() {
        assert_eq!(arguments(&payload(" [1] ", 0)), Ok(Bytes::from_static(b"[1]")));
        for text in ["", "{}", "1", "[1"] {
            assert_eq!(arguments(&payload(text, 0)), Err(BadEvent::Malformed));
        }
    }

    proptest! {
        #[test]
        fn any_event_is_taken_apart_right(name: String, args: Vec<String>) {
            prop_assume!(!RESERVED.contains(&name.as_str()) && name.len() <= 1000);
            let mut all = vec![name.clone()];
            all.extend(args.iter().cloned());
            let text = serde_json::to_string(&all).unwrap();
            let (read, rest) = take_apart(&payload(&text, 0), 1000).unwrap();
            prop_assert_eq!(&*read, &name);
            prop_assert_eq!(serde_json::from_slice::<Vec<String>>(&rest).unwrap(), args);
        }

        #[test]
        fn hostile_text_never_panics(text: String) {
            let _ = take_apart(&payload(&text, 1), 50);
            let _ = arguments(&payload(&text, 0));
        }
    }
}
