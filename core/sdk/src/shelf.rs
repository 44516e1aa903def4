//! A kind of stored values that must not grow without end: there is room for so many, and what is over is swept out,
//! some pages at a time.
//!
//! The walk counts what stays; between two walks the count is what this node has added. So the bound holds within a
//! walk, not to the last entry, and costs nothing when something is added.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use serde::de::DeserializeOwned;

use crate::{Error, Kv, Result};

/// Entries that are read at once.
const PAGE: u32 = 64;
/// Pages of one sweep.
const PAGES: usize = 64;

/// The values under a prefix.
#[derive(Debug)]
pub struct Shelf {
    prefix: &'static str,
    count: AtomicU64,
    walk: Mutex<Walk>,
}

/// Where the walk is, and what it has counted.
#[derive(Debug, Default, Clone)]
struct Walk {
    after: Option<String>,
    kept: u64,
}

impl Shelf {
    /// The values whose keys begin with `prefix`.
    pub const fn new(prefix: &'static str) -> Self {
        let walk = Walk { after: None, kept: 0 };
        Self { prefix, count: AtomicU64::new(0), walk: Mutex::new(walk) }
    }

    /// Refuses when there are so many already.
    ///
    /// # Errors
    /// [`Code::Busy`](crate::Code::Busy) with the code `NO_PLACE`.
    pub fn has_place(&self, most: u64) -> Result<()> {
        if self.count.load(Ordering::Relaxed) < most {
            return Ok(());
        }
        Err(Error::busy("there is no place for more right now").with_code("NO_PLACE"))
    }

    /// One more has been written.
    pub fn added(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Walks on, up to 4096 entries, and takes out what is over. Call it from `#[every]`.
    ///
    /// # Errors
    /// As [`Kv::list`].
    pub async fn sweep<T: DeserializeOwned>(
        &self,
        kv: &Kv,
        mut is_over: impl FnMut(&T) -> bool,
    ) -> Result<()> {
        let mut walk = self.walk().clone();
        for _ in 0..PAGES {
            let page = kv.list::<T>(self.prefix, walk.after.as_deref(), PAGE).await?;
            let last = page.len() < PAGE as usize;
            walk.after = page.last().map(|entry| entry.key.clone());
            for entry in page {
                if !is_over(&entry.value) {
                    walk.kept += 1;
                } else if let Err(error) = kv.remove_revision(&entry.key, entry.revision).await {
                    crate::debug!("not swept: {}", error.code_str());
                }
            }
            if last {
                self.count.store(walk.kept, Ordering::Relaxed);
                walk = Walk::default();
                break;
            }
        }
        *self.walk() = walk;
        Ok(())
    }

    fn walk(&self) -> std::sync::MutexGuard<'_, Walk> {
        self.walk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
