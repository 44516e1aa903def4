//! The writer's side: one batch, one transaction, one answer for each.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use exedra_hub::{
    metrics::Metrics,
    port::{Revision, StoreError},
};

use super::{Broken, Database, ENTRIES, Error, REVISIONS, ReadableTable, Table, begin_durable, break_down};
use crate::queue::Write;

/// What the writer thread owns.
pub(super) struct Writer {
    pub(super) database: Arc<Database>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) broken: Broken,
}

impl Writer {
    /// Writes a batch and answers everyone in it, after it is durable or has failed for all.
    pub(super) fn run(&self, batch: Vec<Write>) {
        if let Some(why) = self.broken.get() {
            let error = StoreError::Unavailable(why.clone());
            return batch.into_iter().for_each(|write| write.answer(Err(error.clone())));
        }
        let began = Instant::now();
        match catch_unwind(AssertUnwindSafe(|| self.commit(&batch))) {
            Ok(Ok(outcomes)) => {
                self.metrics.store_commit_seconds.observe(began.elapsed().as_secs_f64());
                self.metrics.store_batch_size.observe(batch.len() as f64);
                batch.into_iter().zip(outcomes).for_each(|(write, outcome)| write.answer(outcome));
            }
            Ok(Err(error)) => self.fail(batch, &format!("a commit failed: {error}")),
            Err(_) => self.fail(batch, "a commit failed: the file is damaged"),
        }
    }

    fn fail(&self, batch: Vec<Write>, why: &str) {
        let error = break_down(&self.broken, why);
        batch.into_iter().for_each(|write| write.answer(Err(error.clone())));
    }

    fn commit(&self, batch: &[Write]) -> Result<Vec<Result<Revision, StoreError>>, Error> {
        let transaction = begin_durable(&self.database)?;
        let outcomes = {
            let mut entries = transaction.open_table(ENTRIES)?;
            let mut revisions = transaction.open_table(REVISIONS)?;
            let write = |write| apply(&mut entries, &mut revisions, write);
            batch.iter().map(write).collect::<Result<_, _>>()?
        };
        transaction.commit()?;
        Ok(outcomes)
    }
}

/// One write inside a transaction. The outer error ends the whole batch, the inner answers this write alone.
fn apply(
    entries: &mut Table<(&str, &str), (u64, &[u8])>,
    revisions: &mut Table<&str, u64>,
    write: &Write,
) -> Result<Result<Revision, StoreError>, Error> {
    let name = (write.bucket.as_str(), write.key.as_str());
    let current = entries.get(name)?.map(|found| found.value().0);
    if let Some(revision) = write.kind.conflict(current) {
        return Ok(Err(StoreError::Conflict(revision)));
    }
    if current.is_none() && write.kind.value().is_none() {
        return Ok(Ok(0));
    }
    let revision = revisions.get(write.bucket.as_str())?.map_or(0, |newest| newest.value()) + 1;
    revisions.insert(write.bucket.as_str(), revision)?;
    match write.kind.value() {
        Some(value) => entries.insert(name, (revision, &value[..]))?,
        None => entries.remove(name)?,
    };
    Ok(Ok(revision))
}
