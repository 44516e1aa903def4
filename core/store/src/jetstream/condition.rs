//! How the store is: said by the keeper, asked by operations and by readiness.

use exedra_hub::port::StoreError;
use parking_lot::Mutex;

/// What the keeper found at its last look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// Why no operation is tried.
    pub(super) closed: Option<String>,
    /// Why the hub should get no traffic, although operations are tried.
    pub(super) trouble: Option<String>,
    /// What the operator should know.
    pub(super) notes: Vec<String>,
}

impl Finding {
    /// No operation is tried.
    pub(super) fn closed(why: impl Into<String>) -> Self {
        Self { closed: Some(why.into()), trouble: None, notes: Vec::new() }
    }
}

#[derive(Debug)]
pub(super) struct Condition(Mutex<Finding>);

impl Default for Condition {
    fn default() -> Self {
        Self(Mutex::new(Finding::closed("the bucket is not open yet")))
    }
}

impl Condition {
    /// Takes a finding in and tells the log what is new in it.
    pub(super) fn set(&self, finding: Finding) {
        let before = std::mem::replace(&mut *self.0.lock(), finding.clone());
        let why = |finding: &Finding| finding.closed.clone().or_else(|| finding.trouble.clone());
        match (why(&before), why(&finding)) {
            (before, Some(now)) if before.as_ref() != Some(&now) => {
                tracing::warn!(why = now, "the store is in trouble")
            }
            (Some(_), None) => tracing::info!("the store is open"),
            _ => {}
        }
        for note in finding.notes.iter().filter(|note| !before.notes.contains(note)) {
            tracing::warn!("the store: {note}");
        }
    }

    /// The last finding with something changed.
    pub(super) fn change(&self, change: impl FnOnce(&mut Finding)) {
        let mut finding = self.0.lock().clone();
        change(&mut finding);
        self.set(finding);
    }

    pub(super) fn usable(&self) -> Result<(), StoreError> {
        self.0.lock().closed.clone().map_or(Ok(()), |why| Err(StoreError::Unavailable(why)))
    }

    pub(super) fn trouble(&self) -> Option<String> {
        let finding = self.0.lock();
        finding.closed.clone().or_else(|| finding.trouble.clone())
    }

    pub(super) fn notes(&self) -> Vec<String> {
        self.0.lock().notes.clone()
    }
}
