//! The control of the whole: a mistake that a few well chosen bytes reach and that chance does not. Finding it needs
//! instrumentation in the crates under test, a search that is led by it, and a report of what was found.

/// Panics for the one token whose name is `.*`. It looks at one character after the other, so that a search which sees
/// what it reaches is led there.
///
/// # Panics
/// That is what it is for.
pub fn planted_bug(token: &str) {
    let Some(name) = exedra_bus::subject::decode(token) else { return };
    let mut characters = name.chars();
    if characters.next() == Some('.') && characters.next() == Some('*') && characters.next().is_none() {
        panic!("the planted bug was found");
    }
}
