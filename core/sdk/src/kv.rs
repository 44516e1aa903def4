//! Durable values of this plugin. A write has ended only when it survives a power cut.

use bytes::Bytes;
use exedra_abi::ANY_REVISION;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Code, Error, Hub, Result, border::ops};

/// How often [`Kv::modify`] tries before it says [`Code::Conflict`].
const MODIFY_ATTEMPTS: usize = 32;

/// The plugin's values: JSON by the short names, bytes by the `_bytes` ones. Keys up to 512 bytes, values up to 1 MiB.
#[derive(Debug, Clone)]
pub struct Kv {
    hub: Hub,
}

/// A value and the revision that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The value.
    pub value: T,
    /// The number of the write; grows with every write.
    pub revision: u64,
}

/// A value with its key, from [`Kv::list`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<T> {
    /// The key.
    pub key: String,
    /// The value.
    pub value: T,
    /// The number of the write.
    pub revision: u64,
}

impl Kv {
    pub(crate) fn new(hub: Hub) -> Self {
        Self { hub }
    }

    /// The value under a key.
    ///
    /// # Errors
    /// [`Code::Unavailable`] when the store cannot be reached; [`Code::Internal`] when the value is no `T`.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<Versioned<T>>> {
        let Some(found) = self.get_bytes(key).await? else { return Ok(None) };
        Ok(Some(Versioned { value: parse(key, &found.value)?, revision: found.revision }))
    }

    /// The bytes under a key.
    ///
    /// # Errors
    /// As [`Kv::get`].
    pub async fn get_bytes(&self, key: &str) -> Result<Option<Versioned<Bytes>>> {
        let op = ops::kv_get(&self.hub.door, key);
        match async { op?.await }.await {
            Ok(given) => {
                Ok(Some(Versioned { value: Bytes::copy_from_slice(given.payload()), revision: given.code() }))
            }
            Err(error) if error.code == Code::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes whatever was there before. Returns the revision.
    ///
    /// # Errors
    /// [`Code::Unavailable`], [`Code::Busy`], [`Code::TooLarge`].
    pub async fn put(&self, key: &str, value: &(impl Serialize + ?Sized)) -> Result<u64> {
        let value = serde_json::to_vec(value)?;
        self.write(key, value, ANY_REVISION).await
    }

    /// Writes bytes whatever was there before.
    ///
    /// # Errors
    /// As [`Kv::put`].
    pub async fn put_bytes(&self, key: &str, value: &[u8]) -> Result<u64> {
        self.write(key, value.to_vec(), ANY_REVISION).await
    }

    /// Writes only if there is nothing yet.
    ///
    /// # Errors
    /// [`Code::Conflict`] when there is; else as [`Kv::put`].
    pub async fn create(&self, key: &str, value: &(impl Serialize + ?Sized)) -> Result<u64> {
        let value = serde_json::to_vec(value)?;
        self.write(key, value, 0).await
    }

    /// Writes bytes only if there is nothing yet.
    ///
    /// # Errors
    /// As [`Kv::create`].
    pub async fn create_bytes(&self, key: &str, value: &[u8]) -> Result<u64> {
        self.write(key, value.to_vec(), 0).await
    }

    /// Writes only if the revision is still `revision`.
    ///
    /// # Errors
    /// [`Code::Conflict`] when somebody else was faster; else as [`Kv::put`].
    pub async fn update(&self, key: &str, value: &(impl Serialize + ?Sized), revision: u64) -> Result<u64> {
        let value = serde_json::to_vec(value)?;
        self.write(key, value, revision).await
    }

    /// Writes bytes only if the revision is still `revision`.
    ///
    /// # Errors
    /// As [`Kv::update`].
    pub async fn update_bytes(&self, key: &str, value: &[u8], revision: u64) -> Result<u64> {
        self.write(key, value.to_vec(), revision).await
    }

    async fn write(&self, key: &str, value: Vec<u8>, expected: u64) -> Result<u64> {
        let op = ops::kv_put(&self.hub.door, key, &value, expected)?;
        Ok(op.await?.code())
    }

    /// Deletes; deleting nothing is fine.
    ///
    /// # Errors
    /// [`Code::Unavailable`], [`Code::Busy`].
    pub async fn remove(&self, key: &str) -> Result<()> {
        self.remove_revision(key, ANY_REVISION).await
    }

    /// Deletes only if the revision is still `revision`.
    ///
    /// # Errors
    /// [`Code::Conflict`] when somebody else was faster; else as [`Kv::remove`].
    pub async fn remove_revision(&self, key: &str, revision: u64) -> Result<()> {
        let op = ops::kv_remove(&self.hub.door, key, revision);
        match async { op?.await }.await {
            Err(error) if error.code != Code::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Up to `limit` values whose key starts with `prefix` and comes after `after`, in order of keys.
    ///
    /// # Errors
    /// As [`Kv::get`].
    pub async fn list<T: DeserializeOwned>(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Entry<T>>> {
        let entries = self.list_bytes(prefix, after, limit).await?;
        entries
            .into_iter()
            .map(|entry| {
                Ok(Entry {
                    value: parse(&entry.key, &entry.value)?,
                    key: entry.key,
                    revision: entry.revision,
                })
            })
            .collect()
    }

    /// The same as bytes.
    ///
    /// # Errors
    /// As [`Kv::get`].
    pub async fn list_bytes(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Entry<Bytes>>> {
        let op = ops::kv_list(&self.hub.door, prefix, after.unwrap_or(""), limit)?;
        let given = op.await?;
        if given.payload().is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<String> = serde_json::from_slice(given.payload())?;
        let revisions: Vec<u64> = serde_json::from_slice(given.meta())?;
        let values = given.attachments();
        if keys.len() != values.len() || keys.len() != revisions.len() {
            return Err(Error::internal("the hub's list has holes"));
        }
        let entries = keys.into_iter().zip(values).zip(revisions);
        Ok(entries
            .map(|((key, value), revision)| Entry { key, value: Bytes::copy_from_slice(value), revision })
            .collect())
    }

    /// All values under a prefix, page by page, but at most `most`.
    ///
    /// # Errors
    /// As [`Kv::get`].
    pub async fn list_all<T: DeserializeOwned>(&self, prefix: &str, most: usize) -> Result<Vec<Entry<T>>> {
        const PAGE: usize = 256;
        let mut all: Vec<Entry<T>> = Vec::new();
        loop {
            let wanted = PAGE.min(most - all.len());
            let after = all.last().map(|entry| entry.key.clone());
            let page = self.list(prefix, after.as_deref(), wanted as u32).await?;
            let last = page.len() < wanted;
            all.extend(page);
            if last || all.len() >= most {
                return Ok(all);
            }
        }
    }

    /// Reads, changes and writes one value so that no other change is lost: when somebody else was faster, `change`
    /// is asked again with the newer value. Returns what was written. An error of `change` ends it without a write.
    ///
    /// # Errors
    /// [`Code::Conflict`] after 32 attempts; else as [`Kv::put`].
    pub async fn modify<T, F>(&self, key: &str, mut change: F) -> Result<T>
    where
        T: Serialize + DeserializeOwned,
        F: FnMut(Option<T>) -> Result<T>,
    {
        for _ in 0..MODIFY_ATTEMPTS {
            let (before, revision) = match self.get::<T>(key).await? {
                Some(found) => (Some(found.value), found.revision),
                None => (None, 0),
            };
            let after = change(before)?;
            let bytes = serde_json::to_vec(&after)?;
            match self.write(key, bytes, revision).await {
                Ok(_) => return Ok(after),
                Err(error) if error.code == Code::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::conflict("too many changes at the same time"))
    }
}

fn parse<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::internal(format_args!("the stored value of {key:?}: {error}")))
}
