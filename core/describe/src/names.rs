//! Names of things in documents, made of names that plugins chose: only letters and digits, and never twice.

use std::collections::HashSet;

/// `live-preview` as `LivePreview`, `Done_for_Nothing` as `DoneForNothing`.
pub(crate) fn pascal(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    let mut upper = true;
    for c in text.chars() {
        if !c.is_ascii_alphanumeric() {
            upper = true;
        } else if upper {
            name.push(c.to_ascii_uppercase());
            upper = false;
        } else {
            name.push(c);
        }
    }
    name
}

/// A key that needs no escaping in a reference: other characters become `_`.
pub(crate) fn key(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' };
    text.chars().map(plain).collect()
}

/// Names that are taken.
#[derive(Debug, Default)]
pub(crate) struct Taken(HashSet<String>);

impl Taken {
    /// The first of these that is free, or the last of them with a number.
    pub(crate) fn take(&mut self, wanted: &[String]) -> String {
        let last = wanted.last().cloned().unwrap_or_default();
        let numbered = (2_u32..).map(|n| format!("{last}{n}"));
        let free = wanted.iter().cloned().chain(numbered).find(|name| !self.0.contains(name));
        let name = free.unwrap_or(last);
        self.0.insert(name.clone());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_letters_and_digits() {
        assert_eq!(pascal("live-preview"), "LivePreview");
        assert_eq!(pascal("Done_for_Nothing"), "DoneForNothing");
        assert_eq!(pascal("ROOM_UPDATE"), "ROOMUPDATE");
        assert_eq!(pascal("é;*/ x"), "X");
        assert_eq!(key("a/b~c d"), "a_b_c_d");
    }

    #[test]
    fn names_are_never_twice() {
        let mut taken = Taken::default();
        let wanted = ["A".to_owned(), "AIn".to_owned()];
        assert_eq!(
            ["A", "AIn", "AIn2", "AIn3"],
            [(); 4].map(|()| taken.take(&wanted)).each_ref().map(String::as_str)
        );
    }
}
