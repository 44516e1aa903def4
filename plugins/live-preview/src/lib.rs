//! Live preview: pages that are tracked send what their users do, and the owner of the project sees it happen. This
//! file is the plugin's face: its events, routes and subjects, each a few lines that lead to the file where the thing
//! is done.
//!
//! Projects, sessions and events are in the store; who watches, and which sessions go on, the hub's rooms know.

pub mod live;
pub mod project;
pub mod refuse;
pub mod session;
pub mod settings;
pub mod tracker;
pub mod viewer;

mod archive;
mod tracking;
mod watch;

#[cfg(test)]
mod tests;

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use exedra_sdk::{prelude::*, random::Sequence};

use crate::{
    live::{Budgets, EventReceived, SessionEnded, SessionStarted},
    project::{NewProject, PageQuery, ProjectChange, ProjectList, ProjectView, ProjectWithKey},
    refuse::{ErrorOut, RefusedAck, told},
    session::{Accepted, EventList, NewSession, SessionList, SessionView},
    settings::Settings,
    tracker::{
        BinaryIn, EndIn, EventBatch, EventIn, EventsIn, OfProject, OfSession, StartAsked, StartIn,
        TrackerEvent,
    },
    viewer::{JoinProject, LeaveProject, ProjectJoined, ProjectLeft, Viewers},
};

/// The plugin.
pub struct LivePreview {
    hub: Hub,
    settings: Settings,
    ids: Sequence,
    budgets: Budgets,
    /// Whether the sessions that went on before the start go on.
    held: AtomicBool,
    /// Where the next look for old sessions goes on.
    swept: Mutex<Option<String>>,
    joins: Counter,
    projects: Counter,
    sessions: Counter,
    events: Counter,
    shown: Counter,
    skipped: Counter,
}

#[plugin(
    name = "live-preview",
    description = "Sessions and events of tracked pages, live to the owner of the project",
    namespace = "/",
    auth = "required",
    refusal = RefusedAck,
    emits = [
        /// Something has happened in a session.
        "event-received": EventReceived,
        /// A session has begun.
        "session-started": SessionStarted,
        /// A session has ended.
        "session-ended": SessionEnded,
        /// Somebody watches the project, or no more.
        "viewers-updated": Viewers,
        /// After connecting again: a project that was watched before is watched again.
        "project-rejoined": ProjectJoined,
        /// Something that this connection asked for was refused.
        "error": ErrorOut,
    ],
    outs = [
        /// A session has begun.
        "session-started": SessionStarted,
        /// A session has ended.
        "session-ended": SessionEnded,
    ],
    metrics = [
        counter("joins_total", "Joins of viewers, also repeated ones and those after a lost connection."),
        counter("projects_total", "Projects made."),
        counter("sessions_total", "Sessions begun, submitted, and ended by themselves.",
            label "what" in ["started", "submitted", "idle"]),
        counter("events_total", "Events of trackers stored."),
        counter("events_shown_total", "Events sent to a room of viewers."),
        counter("events_skipped_total", "Events stored but not sent.", label "reason" in ["batch", "rate"]),
    ]
)]
impl LivePreview {
    fn new(settings: Settings, hub: Hub) -> Result<Self> {
        Ok(Self {
            ids: Sequence::default(),
            budgets: Budgets::default(),
            held: AtomicBool::new(false),
            swept: Mutex::default(),
            joins: hub.counter("joins_total")?,
            projects: hub.counter("projects_total")?,
            sessions: hub.counter("sessions_total")?,
            events: hub.counter("events_total")?,
            shown: hub.counter("events_shown_total")?,
            skipped: hub.counter("events_skipped_total")?,
            settings,
            hub,
        })
    }

    #[start]
    async fn start(&self) -> Result<()> {
        match self.go_on().await {
            Err(error) if error.code == Code::Unavailable => {
                exedra_sdk::warn!("open sessions go on when the store is there: {}", error.message);
                Ok(())
            }
            went => went,
        }
    }

    /// A hub may start before its store is there.
    #[every("2s")]
    async fn go_on(&self) -> Result<()> {
        if !self.held.load(Ordering::Acquire) {
            self.hold_open_sessions().await?;
            self.held.store(true, Ordering::Release);
        }
        Ok(())
    }

    // ---- viewers ----

    #[connect]
    async fn connected(&self, conn: Conn, me: Option<User>) -> Result<()> {
        if let Some(me) = me
            && let Err(error) = self.find_back(&conn, &me).await
        {
            // No reason to keep somebody out.
            exedra_sdk::warn!("a viewer did not find back: {}", error.code_str());
        }
        Ok(())
    }

    /// Watches a project of one's own.
    #[event("join-project")]
    async fn join_project(
        &self,
        conn: Conn,
        asked: Result<Payload<JoinProject>, Error>,
    ) -> Result<ProjectJoined> {
        let joined = match asked {
            Ok(Payload(asked)) => self.join(&conn, asked).await,
            Err(_) => Err(refuse::missing_project_id()),
        };
        told(&conn, joined)
    }

    /// Watches it no more.
    #[event("leave-project")]
    fn leave_project(&self, conn: Conn, asked: Result<Payload<LeaveProject>, Error>) -> Result<ProjectLeft> {
        let left = match asked {
            Ok(Payload(asked)) => self.leave(&conn, asked),
            Err(_) => Err(refuse::missing_project_id()),
        };
        told(&conn, left)
    }

    /// Somebody watches no more, or a session has been silent for too long.
    #[leave]
    async fn left(&self, room: RoomName, member: Member) -> Result<()> {
        if session::is_room(&room) {
            self.lapsed(&room, &member.user).await
        } else if watch::is_watch(&room) {
            self.lost(&member)
        } else if watch::project_of(&room).is_some() {
            self.hub.room(&*room).refresh("viewers")
        } else {
            Ok(())
        }
    }

    /// Sends viewers the list of viewers.
    #[state("viewers", window = "100ms")]
    fn send_viewers(&self, room: RoomName) -> Result<()> {
        match watch::project_of(&room) {
            Some(project) => self.hub.room(&*room).emit("viewers-updated", &self.viewers_of(project)?),
            None => Ok(()),
        }
    }

    // ---- owners ----

    /// Makes a project; the only answer with its key.
    #[http(POST, "/api/projects")]
    async fn post_project(&self, me: User, Json(new): Json<NewProject>) -> Result<Created<ProjectWithKey>> {
        self.create_project(&me, new).await.map(Created)
    }

    /// The caller's projects.
    #[http(GET, "/api/projects")]
    async fn get_projects(&self, me: User, Query(page): Query<PageQuery>) -> Result<Json<ProjectList>> {
        self.list_projects(&me, &page).await.map(Json)
    }

    /// A project of the caller.
    #[http(GET, "/api/projects/{id}", errors = [403 "UNAUTHORIZED", 404 "PROJECT_NOT_FOUND"])]
    async fn get_project(&self, me: User, Path(id): Path<String>) -> Result<Json<ProjectView>> {
        Ok(Json(self.own_project(Some(&me), &id).await?.into()))
    }

    /// Changes a project of the caller.
    #[http(PATCH, "/api/projects/{id}", errors = [403 "UNAUTHORIZED", 404 "PROJECT_NOT_FOUND"])]
    async fn patch_project(
        &self,
        me: User,
        Path(id): Path<String>,
        Json(change): Json<ProjectChange>,
    ) -> Result<Json<ProjectView>> {
        self.change_project(&me, &id, change).await.map(Json)
    }

    /// Makes a new key for a project of the caller.
    #[http(POST, "/api/projects/{id}/api-key", errors = [403 "UNAUTHORIZED", 404 "PROJECT_NOT_FOUND"])]
    async fn post_key(&self, me: User, Path(id): Path<String>) -> Result<Created<ProjectWithKey>> {
        self.renew_key(&me, &id).await.map(Created)
    }

    /// Who watches a project of the caller.
    #[http(GET, "/api/projects/{id}/viewers", errors = [403 "UNAUTHORIZED", 404 "PROJECT_NOT_FOUND"])]
    async fn get_viewers(&self, me: User, Path(id): Path<String>) -> Result<Json<Viewers>> {
        let project = self.own_project(Some(&me), &id).await?;
        self.viewers_of(&project.id).map(Json)
    }

    /// The sessions of a project of the caller.
    #[http(GET, "/api/projects/{id}/sessions", errors = [403 "UNAUTHORIZED", 404 "PROJECT_NOT_FOUND"])]
    async fn get_sessions(
        &self,
        me: User,
        Path(id): Path<String>,
        Query(page): Query<PageQuery>,
    ) -> Result<Json<SessionList>> {
        let project = self.own_project(Some(&me), &id).await?;
        self.list_sessions(&project.id, &page).await.map(Json)
    }

    /// A session of a project of the caller.
    #[http(GET, "/api/sessions/{id}", errors = [403 "UNAUTHORIZED", 404 "SESSION_NOT_FOUND"])]
    async fn get_session(&self, me: User, Path(id): Path<String>) -> Result<Json<SessionView>> {
        Ok(Json(self.own_session(&me, &id).await?.into()))
    }

    /// The events of a session of a project of the caller.
    #[http(GET, "/api/sessions/{id}/events", errors = [403 "UNAUTHORIZED", 404 "SESSION_NOT_FOUND"])]
    async fn get_events(
        &self,
        me: User,
        Path(id): Path<String>,
        Query(page): Query<PageQuery>,
    ) -> Result<Json<EventList>> {
        let session = self.own_session(&me, &id).await?;
        self.list_events(&session.id, &page).await.map(Json)
    }

    /// The data of a binary event of a session of a project of the caller.
    #[http(
        GET,
        "/api/sessions/{id}/data/{data}",
        response_type = "application/octet-stream",
        errors = [403 "UNAUTHORIZED", 404 "SESSION_NOT_FOUND", 404]
    )]
    async fn get_data(&self, me: User, Path((id, data)): Path<(String, String)>) -> Result<Reply> {
        let session = self.own_session(&me, &id).await?;
        let data = self.event_data(&session.id, &data).await?;
        // It is somebody else's data on this origin: nothing of it may run.
        let reply = Reply::status(200).header("content-type", "application/octet-stream").body(data);
        Ok(reply.header("x-content-type-options", "nosniff").header("content-disposition", "attachment"))
    }

    // ---- trackers ----

    /// Begins a session; needs the project's key as `X-API-Key`.
    #[http(
        POST,
        "/api/projects/{id}/sessions",
        auth = "none",
        headers = [required("X-API-Key", "The project's key.")],
        errors = [401 "INVALID_API_KEY", 409 "PROJECT_INACTIVE"]
    )]
    async fn post_session(
        &self,
        Path(id): Path<String>,
        request: Request,
        new: Result<Json<NewSession>, Error>,
    ) -> Result<Created<SessionView>> {
        let project = self.tracked_project(&id, &request).await?;
        let Json(new) = new?;
        Ok(Created(self.start_session(&project, None, new.external_user_id, None).await?.into()))
    }

    /// Takes events; needs the project's key as `X-API-Key`.
    #[http(
        POST,
        "/api/sessions/{id}/events",
        auth = "none",
        body_limit = 786432,
        headers = [required("X-API-Key", "The project's key.")],
        errors = [401 "INVALID_API_KEY", 409 "PROJECT_INACTIVE", 409 "SESSION_ENDED", 413 "SESSION_FULL"]
    )]
    async fn post_events(
        &self,
        Path(id): Path<String>,
        request: Request,
        batch: Result<Json<EventBatch>, Error>,
    ) -> Result<Created<Accepted>> {
        let session = self.tracked_session(&id, &request).await?;
        let Json(batch) = batch?;
        self.take_events(&session, batch.events, None).await.map(Created)
    }

    /// Takes an event with data: the data are the body, the header `X-Event` is the event as JSON. Needs the project's
    /// key as `X-API-Key`.
    #[http(
        POST,
        "/api/sessions/{id}/binary-events",
        auth = "none",
        body_limit = 786432,
        body_type = "application/octet-stream",
        headers = [
            required("X-API-Key", "The project's key."),
            required("X-Event", "The event.", json TrackerEvent)
        ],
        errors = [401 "INVALID_API_KEY", 409 "PROJECT_INACTIVE", 409 "SESSION_ENDED", 413 "SESSION_FULL"]
    )]
    async fn post_binary(&self, Path(id): Path<String>, request: Request) -> Result<Created<Accepted>> {
        let session = self.tracked_session(&id, &request).await?;
        let event: TrackerEvent = header_json("X-Event", request.header("x-event"))?;
        self.take_binary(&session, event, request.body, None).await.map(Created)
    }

    /// Ends a session as submitted; needs the project's key as `X-API-Key`.
    #[http(
        POST,
        "/api/sessions/{id}/submit",
        auth = "none",
        headers = [required("X-API-Key", "The project's key.")],
        errors = [401 "INVALID_API_KEY", 409 "PROJECT_INACTIVE"]
    )]
    async fn post_submit(&self, Path(id): Path<String>, request: Request) -> Result<Json<SessionView>> {
        self.tracked_session(&id, &request).await?;
        self.submit(&id).await.map(Json)
    }

    // ---- outside services ----

    /// A session begins.
    #[inject("session-started")]
    async fn started_in(
        &self,
        room: RoomName,
        delivery: Option<Delivery>,
        Json(given): Json<StartIn>,
    ) -> Result<()> {
        let (project, user) = (self.active_project(&room).await?, Some(given.external_user_id));
        self.session_for(&project, given.session_id, user, delivery.as_ref()).await.map(drop)
    }

    /// Something has happened in a session.
    #[inject("event-received")]
    async fn event_in(
        &self,
        room: RoomName,
        delivery: Option<Delivery>,
        Json(given): Json<EventIn>,
    ) -> Result<()> {
        let (project, delivery) = (self.active_project(&room).await?, delivery.as_ref());
        let session = self.session_for(&project, given.session_id, given.external_user_id, delivery).await?;
        self.take_events(&session, vec![given.event], delivery).await.map(drop)
    }

    /// Several things have happened in a session; viewers see the first ones.
    #[inject("events")]
    async fn events_in(
        &self,
        room: RoomName,
        delivery: Option<Delivery>,
        Json(given): Json<EventsIn>,
    ) -> Result<()> {
        let (project, delivery) = (self.active_project(&room).await?, delivery.as_ref());
        let session = self.session_for(&project, given.session_id, given.external_user_id, delivery).await?;
        self.take_events(&session, given.events, delivery).await.map(drop)
    }

    /// Something with data has happened: the data are the body, the header `Event-Meta` is
    /// `{sessionId, externalUserId?, event}` as JSON.
    #[inject(
        "binary-event",
        body_type = "application/octet-stream",
        headers = [required("Event-Meta", "The event and its session.", json BinaryIn)]
    )]
    async fn binary_in(
        &self,
        room: RoomName,
        headers: Headers,
        delivery: Option<Delivery>,
        data: Bytes,
    ) -> Result<()> {
        let given: BinaryIn = header_json("Event-Meta", headers.get("event-meta"))?;
        let (project, delivery) = (self.active_project(&room).await?, delivery.as_ref());
        let session = self.session_for(&project, given.session_id, given.external_user_id, delivery).await?;
        self.take_binary(&session, given.event, data, delivery).await.map(drop)
    }

    /// A session ends.
    #[inject("session-ended")]
    async fn ended_in(
        &self,
        room: RoomName,
        delivery: Option<Delivery>,
        Json(given): Json<EndIn>,
    ) -> Result<()> {
        let (project, delivery) = (self.active_project(&room).await?, delivery.as_ref());
        let session = self.session_for(&project, given.session_id, given.external_user_id, delivery).await?;
        self.end_session(&session.id, given.submitted).await.map(drop)
    }

    /// Begins a session.
    #[rpc("start")]
    async fn rpc_start(&self, Json(asked): Json<StartAsked>) -> Result<SessionView> {
        let project = self.active_project(&asked.project_id.0).await?;
        Ok(self.start_session(&project, asked.session_id, asked.external_user_id, None).await?.into())
    }

    /// Takes events into a session.
    #[rpc("events")]
    async fn rpc_events(&self, Json(given): Json<EventsIn>) -> Result<Accepted> {
        let session = self.session(&given.session_id.0).await?;
        self.take_events(&session, given.events, None).await
    }

    /// Ends a session as submitted.
    #[rpc("submit")]
    async fn rpc_submit(&self, Json(of): Json<OfSession>) -> Result<SessionView> {
        self.submit(&of.session_id.0).await
    }

    /// A project.
    #[rpc("project")]
    async fn rpc_project(&self, Json(of): Json<OfProject>) -> Result<ProjectView> {
        Ok(self.project(&of.project_id.0).await?.into())
    }

    /// Who watches a project.
    #[rpc("viewers")]
    async fn rpc_viewers(&self, Json(of): Json<OfProject>) -> Result<Viewers> {
        let project = self.project(&of.project_id.0).await?;
        self.viewers_of(&project.id)
    }

    /// Forgets sessions that are too old.
    #[every("60s")]
    async fn tidy(&self) -> Result<()> {
        self.forget_old().await
    }

    pub(crate) fn swept(&self) -> Option<String> {
        self.swept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_swept(&self, at: Option<String>) {
        *self.swept.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }
}

fn header_json<T: serde::de::DeserializeOwned>(name: &str, text: Option<&str>) -> Result<T> {
    let text = text.ok_or_else(|| Error::invalid(format!("the header {name} is missing")))?;
    serde_json::from_str(text).map_err(|error| Error::invalid(format!("{name}: {error}")))
}

exedra_sdk::export!(LivePreview);
