//! A page out of many, for operators' lists: the rows after a position, in order, a bounded number of them. Only the
//! rows of the page are sorted and shown, so that a page of 10,000 connections costs one walk and no more.

use std::{borrow::Cow, cmp::Ordering};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The most rows of a page.
pub const MAX_ROWS: usize = 500;

/// What a list is ordered by: numbers or words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Rank<'a> {
    Number(u64),
    Text(Cow<'a, str>),
}

/// What part of a list is wanted.
#[derive(Debug, Clone, Default)]
pub struct Want {
    /// Rows that have this text somewhere, whatever the case of ASCII letters; empty takes all.
    pub search: String,
    /// Largest first.
    pub descending: bool,
    /// Rows of the page, up to [`MAX_ROWS`].
    pub limit: usize,
    /// The `next` of the page before.
    pub after: Option<String>,
}

/// A page.
#[derive(Debug, Serialize)]
pub struct Page<T> {
    /// How many there are.
    pub total: usize,
    /// How many of them match the search.
    pub matched: usize,
    /// Those of this page.
    pub rows: Vec<T>,
    /// Where the next page begins; none on the last one. Opaque.
    pub next: Option<String>,
}

impl Want {
    /// Whether one of the texts has what is searched for.
    pub(crate) fn matches<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> bool {
        let wanted = self.search.as_bytes();
        let within =
            |text: &str| text.as_bytes().windows(wanted.len()).any(|w| w.eq_ignore_ascii_case(wanted));
        wanted.is_empty() || texts.into_iter().any(within)
    }

    /// Picks the page out of all matching rows and their positions, which are all different. A position that
    /// cannot be read is the beginning.
    pub(crate) fn pick<K, T, V>(&self, total: usize, mut rows: Vec<(K, T)>, show: impl Fn(&T) -> V) -> Page<V>
    where
        K: Ord + Serialize + DeserializeOwned,
    {
        let matched = rows.len();
        let limit = self.limit.clamp(1, MAX_ROWS);
        let order = |one: &K, two: &K| if self.descending { two.cmp(one) } else { one.cmp(two) };
        if let Some(after) = self.after.as_deref().and_then(|after| serde_json::from_str::<K>(after).ok()) {
            rows.retain(|(position, _)| order(position, &after) == Ordering::Greater);
        }
        let more = rows.len() > limit;
        if more {
            rows.select_nth_unstable_by(limit, |one, two| order(&one.0, &two.0));
            rows.truncate(limit);
        }
        rows.sort_unstable_by(|one, two| order(&one.0, &two.0));
        let next = rows.last().filter(|_| more).and_then(|(last, _)| serde_json::to_string(last).ok());
        Page { total, matched, rows: rows.iter().map(|(_, row)| show(row)).collect(), next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(limit: usize, descending: bool, after: Option<String>) -> Want {
        Want { limit, descending, after, ..Want::default() }
    }

    /// All rows, page by page.
    fn walk(rows: &[(u64, u64)], descending: bool) -> Vec<u64> {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let rows = rows.iter().map(|(rank, id)| ((Rank::Number(*rank), *id), *id)).collect();
            let page = want(2, descending, after).pick(5, rows, |id| *id);
            seen.extend(page.rows);
            after = page.next;
            if after.is_none() {
                return seen;
            }
        }
    }

    #[test]
    fn pages_hold_each_row_once() {
        let rows = [(5, 1), (0, 2), (5, 3), (9, 4), (0, 5)];
        assert_eq!(walk(&rows, true), [4, 3, 1, 5, 2]);
        assert_eq!(walk(&rows, false), [2, 5, 1, 3, 4]);
    }

    #[test]
    fn unreadable_position_is_beginning() {
        let rows = vec![((Rank::Text("a".into()), 1_u64), ())];
        assert_eq!(want(9, false, Some("{nonsense".into())).pick(1, rows, |()| ()).rows.len(), 1);
    }

    #[test]
    fn search_ignores_ascii_case() {
        let want = Want { search: "aNN".into(), ..Want::default() };
        assert!(want.matches(["bob", "joann"]) && !want.matches(["an", ""]));
        assert!(Want::default().matches([]));
    }
}
