//! Meetings kept in the plugin's own store. The record of a meeting is the truth; the notes "this meeting is one of
//! yours" only lead to it and are checked against it whenever they are read, so they need no removal.

use exedra_sdk::prelude::*;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{
    keys,
    meeting::{Change, Meeting, NewMeeting, check_id},
};

/// Most meetings of one page of a list.
pub(crate) const MAX_PAGE: u32 = 200;
/// Store operations that one call has under way at a time.
const AT_A_TIME: usize = 16;

/// The meetings in the store.
pub(crate) struct Register {
    hub: Hub,
}

/// A page of meetings.
pub(crate) struct Page {
    pub(crate) meetings: Vec<Meeting>,
    /// Where the next page begins; nothing when this was the last.
    pub(crate) next: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Note {
    meeting_id: String,
}

impl Register {
    pub(crate) fn new(hub: Hub) -> Self {
        Self { hub }
    }

    pub(crate) async fn find(&self, id: &str) -> Result<Option<Meeting>> {
        Ok(self.hub.kv().get::<Meeting>(&keys::meeting(id)).await?.map(|entry| entry.value))
    }

    /// Makes a meeting. Its notes come first: a meeting that exists is in every list that it belongs to.
    pub(crate) async fn create(&self, creator: &str, new: NewMeeting) -> Result<Meeting> {
        let meeting = Meeting::make(new, creator, self.hub.now_ms())?;
        if self.find(&meeting.meeting_id).await?.is_some() {
            return Err(exists());
        }
        self.note(&meeting, std::iter::once(creator).chain(ids(&meeting))).await?;
        match self.hub.kv().create(&keys::meeting(&meeting.meeting_id), &meeting).await {
            Ok(_) => Ok(meeting),
            Err(error) if error.code == Code::Conflict => Err(exists()),
            Err(error) => Err(error),
        }
    }

    /// Changes a meeting if `allowed` lets it; gives what it was before and what it is now.
    pub(crate) async fn change(
        &self,
        id: &str,
        change: Change,
        allowed: impl Fn(&Meeting) -> Result<()>,
    ) -> Result<(Meeting, Meeting)> {
        let now = self.hub.now_ms();
        let mut before = None;
        let after = self
            .hub
            .kv()
            .modify(&keys::meeting(id), |stored: Option<Meeting>| {
                let stored = stored.ok_or_else(unknown)?;
                allowed(&stored)?;
                before = Some(stored.clone());
                stored.changed(change.clone(), now)
            })
            .await?;
        let before = before.ok_or_else(unknown)?;
        self.note(&after, ids(&after).filter(|id| !before.invites(id))).await?;
        Ok((before, after))
    }

    /// A page of the meetings that a user has made or is invited to, by id.
    pub(crate) async fn mine(&self, user: &str, after: Option<&str>, limit: u32) -> Result<Page> {
        check_id("userId", user)?;
        let limit = limit.clamp(1, MAX_PAGE);
        let after = after.map(|id| keys::mine(user, id));
        let prefix = keys::mine_prefix(user);
        let notes = self.hub.kv().list::<Note>(&prefix, after.as_deref(), limit).await?;
        let full = notes.len() == limit as usize;
        let next = notes.last().filter(|_| full).map(|note| note.value.meeting_id.clone());
        let found: Vec<Option<Meeting>> = stream::iter(notes)
            .map(|note| async move { self.find(&note.value.meeting_id).await })
            .buffered(AT_A_TIME)
            .try_collect()
            .await?;
        let meetings =
            found.into_iter().flatten().filter(|meeting| meeting.require_known(user).is_ok()).collect();
        Ok(Page { meetings, next })
    }

    async fn note(&self, meeting: &Meeting, users: impl Iterator<Item = &str>) -> Result<()> {
        let note = Note { meeting_id: meeting.meeting_id.clone() };
        stream::iter(users.map(|user| keys::mine(user, &meeting.meeting_id)).collect::<Vec<_>>())
            .map(|key| {
                let note = &note;
                async move { self.hub.kv().put(&key, note).await.map(drop) }
            })
            .buffer_unordered(AT_A_TIME)
            .try_collect()
            .await
    }
}

fn ids(meeting: &Meeting) -> impl Iterator<Item = &str> {
    meeting.participant_ids.iter().map(String::as_str)
}

fn exists() -> Error {
    Error::conflict("a meeting with this id exists already")
}

/// There is no meeting of that id.
pub(crate) fn unknown() -> Error {
    Error::not_found("meeting not found")
}
