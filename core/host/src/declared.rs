//! Whether what a plugin sends is what it has declared: documents are made of declarations, and clients of documents.
//! What is sent all the same is sent, and told to the log once.

use std::collections::HashSet;

use exedra_hub::manifest::Manifest;
use parking_lot::Mutex;

/// Names that are told of, for each kind; a plugin that makes names up would fill the log.
const MOST_TOLD: usize = 16;

/// What a plugin has declared that it sends.
#[derive(Debug)]
pub(crate) struct Declared {
    plugin: Box<str>,
    emits: Names,
    outs: Names,
}

#[derive(Debug)]
struct Names {
    /// What they are, for the log.
    what: &'static str,
    known: HashSet<Box<str>>,
    /// Whether `*` is among them.
    any: bool,
    told: Mutex<HashSet<Box<str>>>,
}

impl Declared {
    pub(crate) fn of(manifest: &Manifest) -> Self {
        Self {
            plugin: manifest.name.as_str().into(),
            emits: Names::of("emits", manifest.emits.iter().map(|emit| emit.name.as_str())),
            outs: Names::of("outs", manifest.outs.iter().map(|out| out.event.as_str())),
        }
    }

    /// An event goes to clients.
    pub(crate) fn emit(&self, event: &str) {
        self.emits.look(&self.plugin, event);
    }

    /// An event goes to outside services.
    pub(crate) fn out(&self, event: &str) {
        self.outs.look(&self.plugin, event);
    }
}

impl Names {
    fn of<'a>(what: &'static str, names: impl Iterator<Item = &'a str>) -> Self {
        let known: HashSet<Box<str>> = names.map(Box::from).collect();
        Self { what, any: known.contains("*"), known, told: Mutex::default() }
    }

    fn look(&self, plugin: &str, event: &str) {
        if !self.any && !self.known.contains(event) && self.is_news(event) {
            tracing::warn!(
                plugin,
                event,
                "a plugin sends what its manifest does not declare in `{}`",
                self.what
            );
        }
    }

    fn is_news(&self, event: &str) -> bool {
        let mut told = self.told.lock();
        told.len() < MOST_TOLD && told.insert(event.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undeclared_names_are_told_once() {
        let names = Names::of("emits", ["a"].into_iter());
        assert!(names.known.contains("a") && !names.any);
        assert!(names.is_news("b") && !names.is_news("b"));
        let told = (0..100).filter(|n| names.is_news(&n.to_string())).count();
        assert_eq!(told, MOST_TOLD - 1);
        assert!(Names::of("emits", ["*"].into_iter()).any);
    }
}
