//! What is wrong with a configuration, said so that it can be put right: the key, the reason, the place, a hint.
//! Values of secrets never get in here.

use std::{collections::BTreeSet, fmt};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What failed: a key, a file.
    pub what: String,
    /// Why.
    pub why: String,
    /// `file:line:col`, an environment variable or an option.
    pub place: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Where it sorts: layer, then position in it.
    pub(crate) order: (usize, usize),
}

impl Problem {
    /// A problem without a place.
    pub fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into(), place: None, hint: None, order: (usize::MAX, 0) }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds where it is.
    #[must_use]
    pub fn place(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)?;
        if let Some(place) = &self.place {
            write!(f, "\n  --> {place}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

/// Everything that is wrong, in the order of the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds one; the same said twice counts once.
    pub fn push(&mut self, problem: Problem) {
        if !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }

    /// Adds those that are about something else than what is here already.
    pub(crate) fn extend_with_others(&mut self, others: Self) {
        let about = |what: &str| self.0.iter().any(|known| known.what == what);
        let others: Vec<_> = others.0.into_iter().filter(|problem| !about(&problem.what)).collect();
        self.extend(others);
    }

    /// Whether one is about a key or what is under it.
    pub fn concern(&self, key: &str) -> bool {
        let under =
            |what: &str| what.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        self.0.iter().any(|problem| under(&problem.what))
    }

    /// Whether all is well.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The problems, those of files first, from top to bottom.
    pub fn into_sorted(mut self) -> Vec<Problem> {
        self.0.sort_by_key(|problem| problem.order);
        self.0
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl Extend<Problem> for Problems {
    fn extend<T: IntoIterator<Item = Problem>>(&mut self, iter: T) {
        for problem in iter {
            self.push(problem);
        }
    }
}

/// A hint for a name that is not known: the nearest known one, or all of them.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let known: BTreeSet<&str> = known.into_iter().collect();
    let nearest = known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), *candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= 1 + name.len().max(candidate.len()) / 4);
    match nearest {
        Some((_, candidate)) => Some(format!("did you mean `{candidate}`?")),
        None if known.is_empty() => None,
        None => Some(format!("known here: {}", known.into_iter().collect::<Vec<_>>().join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_name_is_proposed() {
        assert_eq!(did_you_mean("listn", ["listen", "drain"]).as_deref(), Some("did you mean `listen`?"));
        assert_eq!(did_you_mean("lsiten", ["listen"]).as_deref(), Some("did you mean `listen`?"));
    }

    #[test]
    fn far_name_lists_all() {
        assert_eq!(did_you_mean("colour", ["listen", "drain"]).as_deref(), Some("known here: drain, listen"));
    }
}
