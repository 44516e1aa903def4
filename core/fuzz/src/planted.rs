//! The control of the whole: a mistake that a few well chosen bytes reach and that chance does not. Finding it needs
//! instrumentation in the crates under test, a search that is led by it, and a report of what was found.

/// Panics for the one token whose name is `.*`.
///
/// # Panics
/// That is what it is for.
pub fn planted_bug(token: &str) {
    let name = exedra_bus::subject::decode(token);
    assert_ne!(name.as_deref(), Some(".*"), "the planted bug was found");
}
