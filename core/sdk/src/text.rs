//! What people write into forms.

use crate::{Error, Result};

/// A name of 1 to `most` characters on one line, without the blanks around it.
///
/// # Errors
/// [`Code::Invalid`](crate::Code::Invalid), with a sentence that begins with `what`.
pub fn label(what: &str, text: &str, most: usize) -> Result<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > most || text.chars().any(char::is_control) {
        return Err(Error::invalid(format!(
            "{what} must be 1 to {most} characters, without control characters"
        )));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_trimmed_and_bounded() {
        assert_eq!(label("name", "  Ann Lee ", 7).unwrap(), "Ann Lee");
        for bad in ["", "  ", "a\u{7}b", "a\nb", "12345678"] {
            assert!(label("name", bad, 7).is_err(), "{bad:?}");
        }
    }
}
