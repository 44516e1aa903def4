//! Lists: the server names the keys under a prefix, one page of them is kept, and only the values of that page are
//! read. The names come from the stream's leader as they are at one instant, so every key that was written before is
//! among them; a key that is deleted in the meantime is passed over.
//!
//! What a page costs grows with the number of names under its prefix, never with the values, and no node has to hold
//! an index in memory.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use exedra_hub::port::{Entry, StoreError};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::json;

use super::bucket::{Bucket, Found, unavailable};

/// The most entries of one list, whatever was asked for.
const MAX_LIST: usize = 10_000;
/// Names that are kept beyond those asked for, because some may turn out to be deleted.
const SPARE: usize = 64;
/// Values that are read at the same time.
const AT_ONCE: usize = 64;
/// The server names 100,000 at once. How many of them two answers have in common. Names that go away in between move the others forward; as long as the
/// second answer still begins within the first, none was missed.
const OVERLAP: usize = 1000;
/// How often names are asked for anew because some may have been missed.
const ATTEMPTS: usize = 5;

/// Keys of a bucket with a prefix, after a key.
#[derive(Debug, Clone)]
pub(super) struct Range {
    bucket: String,
    prefix: String,
    after: Option<String>,
}

impl Range {
    pub(super) fn new(bucket: &str, prefix: &str, after: Option<&str>) -> Self {
        Self { bucket: bucket.to_owned(), prefix: prefix.to_owned(), after: after.map(str::to_owned) }
    }

    fn holds(&self, key: &str) -> bool {
        key.starts_with(&self.prefix) && self.after.as_deref().is_none_or(|after| key > after)
    }
}

/// Up to `limit` entries of a range.
pub(super) async fn list(
    bucket: &Arc<Bucket>,
    mut range: Range,
    limit: usize,
) -> Result<Vec<(String, Entry)>, StoreError> {
    let limit = limit.min(MAX_LIST);
    let mut entries = Vec::new();
    while entries.len() < limit {
        let missing = limit - entries.len();
        let names = names(bucket, &range, missing + SPARE).await?;
        let whole = names.len() < missing + SPARE;
        let Some(last) = names.last().cloned() else { break };
        entries.extend(values(bucket, &range, names, missing).await?);
        if whole {
            break;
        }
        range.after = Some(last);
    }
    Ok(entries)
}

/// The entries of the first names that have one.
async fn values(
    bucket: &Arc<Bucket>,
    range: &Range,
    names: Vec<String>,
    most: usize,
) -> Result<Vec<(String, Entry)>, StoreError> {
    let mut entries = Vec::new();
    let mut read =
        stream::iter(names.into_iter().map(|key| value(bucket.clone(), range.bucket.clone(), key)))
            .buffered(AT_ONCE.min(most.max(1)));
    while entries.len() < most
        && let Some(entry) = read.try_next().await?
    {
        entries.extend(entry);
    }
    Ok(entries)
}

/// The entry under a name, unless it has been deleted.
async fn value(bucket: Arc<Bucket>, of: String, key: String) -> Result<Option<(String, Entry)>, StoreError> {
    let found = bucket.last(&bucket.names().subject(&of, &key)).await?;
    if let Some(Found { value: None, revision, .. }) = found {
        // Left behind by a node that ended between deleting and clearing away.
        tokio::spawn(async move { bucket.forget(revision).await });
    }
    Ok(found.and_then(Found::entry).map(|entry| (key, entry)))
}

/// The first `most` names of a range, in the order of their bytes.
async fn names(bucket: &Bucket, range: &Range, most: usize) -> Result<Vec<String>, StoreError> {
    for _ in 0..ATTEMPTS {
        if let Some(names) = walk(bucket, range, most).await? {
            return Ok(names);
        }
    }
    Err(unavailable("too many keys are deleted at the same time to list the others"))
}

/// All answers of the server, one after the other; `None` when names may have been missed between two of them.
async fn walk(bucket: &Bucket, range: &Range, most: usize) -> Result<Option<Vec<String>>, StoreError> {
    let pattern = bucket.names().pattern(&range.bucket, &range.prefix);
    let mut first = BTreeSet::new();
    let mut end: Option<String> = None;
    let mut offset = 0;
    loop {
        let body = json!({ "subjects_filter": pattern, "offset": offset });
        let page: Page = bucket.told(&body).await?;
        let (subjects, total) = page.names()?;
        if let Some(end) = &end
            && subjects.keys().min().is_some_and(|begin| begin > end)
        {
            return Ok(None);
        }
        for key in subjects.keys().filter_map(|subject| bucket.names().key(&range.bucket, subject)) {
            if range.holds(&key) {
                first.insert(key);
                if first.len() > most {
                    first.pop_last();
                }
            }
        }
        offset += subjects.len();
        if subjects.len() <= OVERLAP || offset >= total {
            return Ok(Some(first.into_iter().collect()));
        }
        offset -= OVERLAP;
        end = subjects.into_keys().max();
    }
}

/// The part of the server's answer that matters here.
#[derive(Deserialize)]
struct Page {
    error: Option<Refusal>,
    state: Option<State>,
    #[serde(default)]
    total: usize,
}

#[derive(Deserialize)]
struct Refusal {
    description: String,
}

#[derive(Deserialize)]
struct State {
    subjects: Option<HashMap<String, u64>>,
}

impl Page {
    /// The subjects of this answer, and how many there are in all.
    fn names(self) -> Result<(HashMap<String, u64>, usize), StoreError> {
        match (self.error, self.state) {
            (None, Some(state)) => Ok((state.subjects.unwrap_or_default(), self.total)),
            (Some(refusal), _) => Err(unavailable(refusal.description)),
            (None, None) => Err(unavailable("JetStream's answer makes no sense")),
        }
    }
}
