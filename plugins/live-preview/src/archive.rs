//! What is kept of sessions: reading it, page by page, and forgetting it in time.

use exedra_sdk::{
    keys::{key, prefix},
    prelude::*,
};

use crate::{
    LivePreview,
    project::PageQuery,
    session::{Batch, EventList, SESSIONS, Session, SessionList, batch_key, data_key, key_of},
};

/// Batches that are read at once.
const BATCHES: u32 = 4;
/// When a page of events is full.
const PAGE_BYTES: usize = 1 << 20;

impl LivePreview {
    /// The sessions of a project.
    pub(crate) async fn list_sessions(&self, project: &str, page: &PageQuery) -> Result<SessionList> {
        let (kv, limit) = (self.hub.kv(), page.limit());
        let after = page.after().map(|after| key(&["of-project", project, after]));
        let found = kv.list::<String>(&prefix(&["of-project", project]), after.as_deref(), limit).await?;
        let (full, mut last) = (found.len() == limit as usize, None);
        let mut sessions = Vec::with_capacity(found.len());
        for entry in found {
            if let Some(session) = kv.get::<Session>(&key_of(&entry.value)).await? {
                last = Some(session.value.place.clone());
                sessions.push(session.value.into());
            }
        }
        Ok(SessionList { sessions, next: last.filter(|_| full) })
    }

    /// The events of a session, batch by batch, about a megabyte at a time.
    pub(crate) async fn list_events(&self, session: &str, page: &PageQuery) -> Result<EventList> {
        let (kv, of) = (self.hub.kv(), prefix(&["events", session]));
        let mut list = EventList { session_id: session.to_owned(), events: Vec::new(), next: None };
        let mut after = page.after().map(|after| batch_key(session, after));
        let (mut bytes, mut batches) = (0, 0);
        loop {
            let found = kv.list_bytes(&of, after.as_deref(), BATCHES).await?;
            let last = found.len() < BATCHES as usize;
            for entry in found {
                bytes += entry.value.len();
                batches += 1;
                list.events.extend(serde_json::from_slice::<Batch>(&entry.value)?.events);
                after = Some(entry.key);
            }
            if last {
                return Ok(list);
            }
            if bytes >= PAGE_BYTES || batches >= page.limit() {
                list.next = after.as_deref().and_then(|key| key.strip_prefix(&*of)).map(str::to_owned);
                return Ok(list);
            }
        }
    }

    /// The data of a binary event.
    pub(crate) async fn event_data(&self, session: &str, data: &str) -> Result<Bytes> {
        let found = self.hub.kv().get_bytes(&data_key(session, data)).await?;
        found.map(|found| found.value).ok_or_else(|| Error::not_found("there is no such data"))
    }

    /// Forgets what is too old: events first, so that nothing is left without its session.
    pub(crate) async fn forget_old(&self) -> Result<()> {
        let before = self.hub.now_ms().saturating_sub(self.settings.keep_sessions.as_ms());
        let kv = self.hub.kv();
        let page = kv.list::<Session>(SESSIONS, self.swept().as_deref(), 64).await?;
        self.set_swept(if page.len() == 64 { page.last().map(|entry| entry.key.clone()) } else { None });
        for entry in page {
            let session = entry.value;
            if session.last_at >= before || session.ended.is_none() {
                continue;
            }
            for of in ["events", "data"] {
                self.remove_all(&prefix(&[of, &session.id])).await?;
            }
            kv.remove(&key(&["of-project", &session.project_id, &session.place])).await?;
            kv.remove(&entry.key).await?;
        }
        Ok(())
    }
}

impl LivePreview {
    async fn remove_all(&self, prefix: &str) -> Result<()> {
        let kv = self.hub.kv();
        loop {
            let page = kv.list_bytes(prefix, None, BATCHES).await?;
            if page.is_empty() {
                return Ok(());
            }
            for entry in page {
                kv.remove(&entry.key).await?;
            }
        }
    }
}
