//! Sessions begin, events come, and they end once: submitted, or because nothing has happened for too long. Everything
//! is stored before it is answered. An event of the bus that comes again in a cluster is kept under the same key, counted
//! once, and shown by whoever has counted it.
//!
//! That a session is idle, its place in the room `sessions:{projectId}` says: it is held for `idle_after` and renewed
//! by every event.

use exedra_sdk::{keys::key, prelude::*, value::Id};

use crate::{
    LivePreview,
    project::Project,
    refuse,
    session::{
        Accepted, Batch, Ended, OPEN, SESSIONS, Session, SessionView, batch_key, data_key, key_of, open_key,
        room_of,
    },
    tracker::{LARGEST_DATA, TrackerEvent, complete},
};

/// What is done again when the store was away at the end of a session.
const AGAIN: Duration = Duration::from_secs(30);

impl LivePreview {
    /// Begins a session.
    pub(crate) async fn start_session(
        &self,
        project: &Project,
        id: Option<Id>,
        user: Id,
        delivery: Option<&Delivery>,
    ) -> Result<Session> {
        let now = self.hub.now_ms();
        let place = self.next_id(now, delivery)?;
        let session = Session {
            id: id.map_or_else(|| place.clone(), |id| id.0),
            project_id: project.id.clone(),
            external_user_id: user.0,
            place,
            started_at: now,
            last_at: now,
            events: 0,
            ended: None,
            taken: Mark::default(),
        };
        self.hub.kv().create(&key_of(&session.id), &session).await?;
        self.list_session(&session).await?;
        self.sessions.with("started").inc();
        self.say_started(&session)?;
        Ok(session)
    }

    /// Makes a session that has begun known to its project.
    async fn list_session(&self, session: &Session) -> Result<()> {
        let kv = self.hub.kv();
        kv.put(&key(&["of-project", &session.project_id, &session.place]), &session.id).await?;
        kv.put(&open_key(&session.id), &session.project_id).await?;
        self.hold(session, self.settings.idle_after.0)
    }

    fn next_id(&self, now: u64, delivery: Option<&Delivery>) -> Result<String> {
        delivery.map_or_else(|| self.ids.next(now), |delivery| Ok(delivery.sequence_id()))
    }

    /// The session of an outside service: the one that it names, begun now if nobody knows it yet.
    pub(crate) async fn session_for(
        &self,
        project: &Project,
        id: Id,
        user: Option<Id>,
        delivery: Option<&Delivery>,
    ) -> Result<Session> {
        match (self.session(&id.0).await, user) {
            (Ok(session), _) if session.project_id == project.id => {
                let begun_by = |delivery: &Delivery| session.place == delivery.sequence_id();
                if session.ended.is_none() && delivery.is_some_and(begun_by) {
                    self.list_session(&session).await?; // the first time may not have come so far
                }
                Ok(session)
            }
            // Another project's sessions are none of its business.
            (Ok(_), _) => Err(refuse::session_not_found()),
            (Err(error), Some(user)) if error.code == Code::NotFound => {
                self.start_session(project, Some(id), user, delivery).await
            }
            (Err(error), _) => Err(error),
        }
    }

    pub(crate) async fn session(&self, id: &str) -> Result<Session> {
        let found = self.hub.kv().get::<Session>(&key_of(id)).await?;
        found.map(|found| found.value).ok_or_else(refuse::session_not_found)
    }

    /// Takes events into a session; viewers see the first ones.
    pub(crate) async fn take_events(
        &self,
        session: &Session,
        mut events: Vec<TrackerEvent>,
        delivery: Option<&Delivery>,
    ) -> Result<Accepted> {
        let now = self.hub.now_ms();
        complete(&mut events, now)?;
        let batch = Batch { at: now, events: events.clone() };
        let Some(total) = self.store_events(session, batch, delivery).await? else {
            return Ok(Accepted::again(session, events.len()));
        };
        let live = events.len().min(self.settings.live_events);
        self.events.inc_by(events.len() as u64);
        self.skipped.with("batch").inc_by((events.len() - live) as u64);
        for event in &events[..live] {
            self.show_event(session, event, None)?;
        }
        let session_id = session.id.clone();
        Ok(Accepted { success: true, session_id, accepted: events.len(), broadcast: live, total })
    }

    /// Takes an event with data that is no JSON.
    pub(crate) async fn take_binary(
        &self,
        session: &Session,
        mut event: TrackerEvent,
        data: Bytes,
        delivery: Option<&Delivery>,
    ) -> Result<Accepted> {
        if session.taken.has(delivery) {
            return Ok(Accepted::again(session, 1));
        }
        if data.is_empty() || data.len() > LARGEST_DATA {
            return Err(Error::too_large(format!("the data of an event is 1 to {LARGEST_DATA} bytes")));
        }
        let now = self.hub.now_ms();
        let id = self.next_id(now, delivery)?;
        event.more.insert("data".to_owned(), json!({ "id": id, "size": data.len() }));
        event.complete(now)?;
        session.require_open()?;
        let created = self.hub.kv().create_bytes(&data_key(&session.id, &id), &data).await;
        made_once(created, delivery)?;
        let batch = Batch { at: now, events: vec![event.clone()] };
        let Some(total) = self.store_events(session, batch, delivery).await? else {
            return Ok(Accepted::again(session, 1));
        };
        self.events.inc();
        self.show_event(session, &event, Some(data))?;
        Ok(Accepted { success: true, session_id: session.id.clone(), accepted: 1, broadcast: 1, total })
    }

    /// Stores events; gives how many the session has then, or none when they have been counted before.
    async fn store_events(
        &self,
        session: &Session,
        batch: Batch,
        delivery: Option<&Delivery>,
    ) -> Result<Option<u64>> {
        if session.taken.has(delivery) {
            return Ok(None);
        }
        session.require_open()?;
        let (now, count) = (batch.at, batch.events.len() as u64);
        let (kv, at) = (self.hub.kv(), batch_key(&session.id, &self.next_id(now, delivery)?));
        made_once(kv.create(&at, &batch).await, delivery)?;
        let mut counted_before = false;
        let most = self.settings.session_events;
        let changed = kv
            .modify(&key_of(&session.id), |session: Option<Session>| {
                let mut session = session.ok_or_else(refuse::session_not_found)?;
                counted_before = !session.taken.take(delivery);
                if counted_before {
                    return Ok(session);
                }
                session.require_open()?;
                session.events += count;
                session.last_at = session.last_at.max(now);
                if session.events > most { Err(refuse::session_full()) } else { Ok(session) }
            })
            .await;
        match changed {
            Ok(_) if counted_before => Ok(None),
            Ok(changed) => {
                self.hold(&changed, self.settings.idle_after.0)?;
                Ok(Some(changed.events))
            }
            Err(error) => {
                // What was refused must not be found later.
                kv.remove(&at).await?;
                Err(error)
            }
        }
    }

    /// Ends a session, once: who comes later finds how it ended.
    pub(crate) async fn end_session(&self, id: &str, submitted: bool) -> Result<Session> {
        let now = self.hub.now_ms();
        let (kv, key) = (self.hub.kv(), key_of(id));
        let mut ended_now = false;
        let session = kv
            .modify(&key, |session: Option<Session>| {
                let mut session = session.ok_or_else(refuse::session_not_found)?;
                ended_now = session.ended.is_none();
                session.ended.get_or_insert(Ended { at: now, submitted });
                Ok(session)
            })
            .await?;
        if ended_now {
            self.sessions.with(if submitted { "submitted" } else { "idle" }).inc();
            self.say_ended(&session)?;
        }
        kv.remove(&open_key(id)).await?;
        match self.hub.room(room_of(&session.project_id)).leave_user(id) {
            Err(error) if error.code != Code::NotFound => Err(error),
            _ => Ok(session),
        }
    }

    /// Ends a session for its user. Again is fine; after it has ended by itself it is too late.
    pub(crate) async fn submit(&self, id: &str) -> Result<SessionView> {
        let session = self.end_session(id, true).await?;
        match session.ended {
            Some(Ended { submitted: false, .. }) => Err(refuse::session_ended()),
            _ => Ok(session.into()),
        }
    }

    /// A session has lost its place: it is over. If the store is away, this is tried again.
    pub(crate) async fn lapsed(&self, room: &str, id: &str) -> Result<()> {
        match self.end_session(id, false).await {
            Err(error) if error.code != Code::NotFound => {
                self.hub.room(room).join_user(id, &(), AGAIN)?;
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// After a start: sessions that went on go on, each with its whole time.
    pub(crate) async fn hold_open_sessions(&self) -> Result<()> {
        let kv = self.hub.kv();
        let mut after: Option<String> = None;
        loop {
            let page = kv.list::<String>(OPEN, after.as_deref(), 256).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.key.clone());
            for entry in &page {
                let id = entry.key.strip_prefix(OPEN).unwrap_or_default();
                self.hold_by_key(id, &entry.value).await?;
            }
        }
    }

    async fn hold_by_key(&self, segment: &str, project: &str) -> Result<()> {
        // A key may be a digest of the id, so the id is read from the record.
        let found = self.hub.kv().get::<Session>(&format!("{SESSIONS}{segment}")).await?;
        match found.map(|found| found.value) {
            Some(session) if session.ended.is_none() => self.hold(&session, self.settings.idle_after.0),
            _ => {
                exedra_sdk::debug!("a session of {project} is not open any more");
                self.hub.kv().remove(&format!("{OPEN}{segment}")).await
            }
        }
    }

    fn hold(&self, session: &Session, time: Duration) -> Result<()> {
        self.hub.room(room_of(&session.project_id)).join_user(&session.id, &(), time).map(drop)
    }

    /// A session that the caller's project has.
    pub(crate) async fn own_session(&self, me: &User, id: &str) -> Result<Session> {
        let session = self.session(id).await?;
        self.own_project(Some(me), &session.project_id).await?;
        Ok(session)
    }

    /// A session of a project that the tracker has the key of.
    pub(crate) async fn tracked_session(&self, id: &str, request: &Request) -> Result<Session> {
        if request.header("x-api-key").is_none() {
            return Err(refuse::invalid_api_key());
        }
        let session = self.session(id).await?;
        self.tracked_project(&session.project_id, request).await?;
        Ok(session)
    }

    pub(crate) async fn active_project(&self, id: &str) -> Result<Project> {
        let project = self.project(id).await?;
        project.require_active()?;
        Ok(project)
    }
}

/// An event that comes again finds what it made the first time.
fn made_once(created: Result<u64>, delivery: Option<&Delivery>) -> Result<()> {
    match created {
        Err(error) if delivery.is_some() && error.code == Code::Conflict => Ok(()),
        created => created.map(drop),
    }
}
