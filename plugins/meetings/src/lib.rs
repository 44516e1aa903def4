//! Meetings: who is present is known from sockets, what people think of each other comes over REST. This file is the
//! plugin's face: its events, routes and subjects, each a few lines that lead to the file where the thing is done.
//! Nothing is kept in memory but counters and a short cache, so that every node of a cluster answers the same.

pub mod meeting;
pub mod presence;
pub mod results;
pub mod settings;
pub mod vote;
pub mod wire;

mod attend;
mod ballots;
mod chair;
mod directory;
mod keys;
mod once;
mod poll;
mod register;
#[cfg(test)]
mod tests;

use std::sync::Mutex;

use exedra_sdk::prelude::*;

use crate::{
    directory::{Directory, Facts},
    meeting::{Change, MeetingView, NewMeeting},
    results::Results,
    settings::Settings,
    vote::{Ballot, EmotionalEvaluations, Kind, UnderstandingContributions},
    wire::*,
};

/// The plugin.
pub struct Meetings {
    hub: Hub,
    settings: Settings,
    directory: Directory,
    /// Where the next sweep of old idempotency keys goes on.
    swept: Mutex<Option<String>>,
    votes: Counter,
    joins: Counter,
    refused_joins: Counter,
    phase_changes: Counter,
}

#[plugin(
    name = "meetings",
    description = "Meetings with live presence over sockets and votes over REST",
    namespace = "/",
    auth = "required",
    emits = [
        /// Somebody joined, left or was lost: everybody who is present now.
        "participants_updated": ParticipantsUpdated,
        /// A participant's first connection has joined.
        "participantJoined": Seen,
        /// A participant's last connection has gone.
        "participantLeft": Seen,
        /// Phase or status is another one.
        "phaseChanged": PhaseChanged,
        /// Somebody voted: how far the voting of one kind is.
        "voting_progress": VotingProgress,
    ],
    outs = [
        /// Somebody is present.
        "joined": Seen,
        /// Somebody is not present any more.
        "left": Seen,
        /// Somebody voted; never what.
        "voted": Voted,
        /// A meeting was made.
        "created": MeetingView,
        /// Phase or status is another one.
        "phase-changed": PhaseChanged,
    ],
    asks = [
        /// The facts of a meeting, where `directory` is `"nats"`; null when there is none.
        "directory.meeting": Which => Option<Facts>,
    ],
    metrics = [
        counter("votes_total", "Votes taken.", label "kind" in ["emotional", "understanding"]),
        counter("joins_total", "Joins, also repeated ones."),
        counter("refused_joins_total", "Joins that were refused."),
        counter("phase_changes_total", "Changes of phase or status that a room was told of."),
    ]
)]
impl Meetings {
    fn new(settings: Settings, hub: Hub) -> Result<Self> {
        Ok(Self {
            votes: hub.counter("votes_total")?,
            joins: hub.counter("joins_total")?,
            refused_joins: hub.counter("refused_joins_total")?,
            phase_changes: hub.counter("phase_changes_total")?,
            directory: Directory::new(hub.clone(), &settings),
            swept: Mutex::default(),
            settings,
            hub,
        })
    }

    // ---- sockets ----

    /// Joins a meeting.
    #[event("join_meeting")]
    async fn join_meeting(&self, conn: Conn, me: User, Payload(at): Payload<At>) -> Result<JoinAck> {
        Ok(match self.join(&conn, &me, &at.meeting_id).await {
            Ok(participants) => JoinAck::done(at.meeting_id, participants),
            Err(error) => {
                self.refused(&error);
                JoinAck::failed(at.meeting_id, &error)
            }
        })
    }

    /// Leaves a meeting.
    #[event("leave_meeting")]
    async fn leave_meeting(&self, conn: Conn, Payload(at): Payload<At>) -> Result<LeaveAck> {
        Ok(match self.leave(&conn, &at.meeting_id) {
            Ok(()) => LeaveAck::done(at.meeting_id),
            Err(error) => LeaveAck::failed(at.meeting_id, &error),
        })
    }

    /// Lists who is present, without joining.
    #[event("get_participants")]
    async fn get_participants(&self, me: User, Payload(at): Payload<At>) -> Result<ParticipantsAck> {
        Ok(match self.participants_for(&me, &at.meeting_id).await {
            Ok(participants) => ParticipantsAck::done(at.meeting_id, participants),
            Err(error) => ParticipantsAck::failed(at.meeting_id, &error),
        })
    }

    /// What never reached a handler (a payload of the wrong shape) is acknowledged in the same shape as the rest.
    #[reject]
    fn reject(&self, event: &str, error: &Error) -> Option<Value> {
        let none = String::new();
        match event {
            "join_meeting" => {
                self.refused(error);
                serde_json::to_value(JoinAck::failed(none, error)).ok()
            }
            "leave_meeting" => serde_json::to_value(LeaveAck::failed(none, error)).ok(),
            "get_participants" => serde_json::to_value(ParticipantsAck::failed(none, error)).ok(),
            _ => None,
        }
    }

    /// A participant has gone: the last connection closed or left, or presence over REST ran out.
    #[leave]
    async fn gone(&self, room: RoomName, member: Member) -> Result<()> {
        self.announce_left(&room, &member.user)
    }

    /// Sends the list of participants to everyone in the room.
    #[state("participants", window = |settings| settings.window.0)]
    async fn participants(&self, room: RoomName) -> Result<()> {
        self.send_participants(&room)
    }

    /// Sends how far the emotional evaluations are.
    #[state("emotional", window = |settings| settings.window.0)]
    async fn emotional(&self, room: RoomName) -> Result<()> {
        self.send_progress(&room, Kind::Emotional).await
    }

    /// Sends how far the understanding contributions are.
    #[state("understanding", window = |settings| settings.window.0)]
    async fn understanding(&self, room: RoomName) -> Result<()> {
        self.send_progress(&room, Kind::Understanding).await
    }

    // ---- REST ----

    /// Makes a meeting; the caller becomes its creator.
    #[http(POST, "/meetings", body_limit = 1048576, errors = [409, 409 "DIRECTORY_IS_EXTERNAL"])]
    async fn post_meeting(&self, me: User, Json(new): Json<NewMeeting>) -> Result<Created<MeetingView>> {
        Ok(Created(self.create(&me.user_id, new).await?))
    }

    /// Lists the meetings that the caller has made or is invited to.
    #[http(GET, "/meetings", errors = [409 "DIRECTORY_IS_EXTERNAL"])]
    async fn get_meetings(&self, me: User, Query(page): Query<PageQuery>) -> Result<Json<MeetingList>> {
        self.list(&me.user_id, page).await.map(Json)
    }

    /// Shows a meeting to its creator and those invited.
    #[http(GET, "/meetings/{id}", errors = [403, 404])]
    async fn get_meeting(&self, me: User, Path(id): Path<String>) -> Result<Json<MeetingView>> {
        let meeting = self.directory.meeting(&id).await?;
        meeting.require_known(&me.user_id)?;
        Ok(Json(MeetingView::from(&*meeting)))
    }

    /// Changes a meeting; for its creator.
    #[http(PATCH, "/meetings/{id}", body_limit = 1048576, errors = [403, 404, 409 "DIRECTORY_IS_EXTERNAL"])]
    async fn patch_meeting(
        &self,
        me: User,
        Path(id): Path<String>,
        Json(change): Json<Change>,
    ) -> Result<Json<MeetingView>> {
        self.change(&id, change, |meeting| meeting.require_creator(&me.user_id)).await.map(Json)
    }

    /// Deprecated: the event `join_meeting` is better. Holds for a minute unless repeated.
    #[http(POST, "/meetings/{id}/join", gives = JoinAck, errors = [403, 404], deprecated = true)]
    async fn post_join(&self, me: User, Path(id): Path<String>) -> Result<Reply> {
        let participants = self.join_over_rest(&me, &id).await.inspect_err(|error| self.refused(error))?;
        attend::deprecated("join_meeting", &JoinAck::done(id, participants))
    }

    /// Deprecated: the event `leave_meeting` is better.
    #[http(POST, "/meetings/{id}/leave", gives = LeaveAck, deprecated = true)]
    async fn post_leave(&self, me: User, Path(id): Path<String>) -> Result<Reply> {
        self.leave_over_rest(&me, &id)?;
        attend::deprecated("leave_meeting", &LeaveAck::done(id))
    }

    /// Lists who is present; for those invited and the creator.
    #[http(GET, "/meetings/{id}/active-participants", errors = [403, 404])]
    async fn get_active_participants(
        &self,
        me: User,
        Path(id): Path<String>,
    ) -> Result<Json<ActiveParticipants>> {
        self.active_participants(&me, &id).await.map(Json)
    }

    /// Votes on how the others came across.
    #[http(
        POST,
        "/meetings/{id}/emotional-evaluations",
        body_limit = 1048576,
        headers = [optional("Idempotency-Key", "Makes a retry safe: 1 to 255 printable characters.")],
        status = [201, 200],
        gives = Submitted,
        errors = [403, 404, 409 "MEETING_ENDED", 409 "IDEMPOTENCY_KEY_REUSED"]
    )]
    async fn post_emotional(
        &self,
        me: User,
        Path(id): Path<String>,
        request: Request,
        Json(body): Json<EmotionalEvaluations>,
    ) -> Result<Reply> {
        self.vote(&me, &id, request.header("idempotency-key"), Ballot::Emotional(body)).await
    }

    /// Votes on how well one understood, and thanks to whom.
    #[http(
        POST,
        "/meetings/{id}/understanding-contributions",
        body_limit = 1048576,
        headers = [optional("Idempotency-Key", "Makes a retry safe: 1 to 255 printable characters.")],
        status = [201, 200],
        gives = Submitted,
        errors = [403, 404, 409 "MEETING_ENDED", 409 "IDEMPOTENCY_KEY_REUSED"]
    )]
    async fn post_understanding(
        &self,
        me: User,
        Path(id): Path<String>,
        request: Request,
        Json(body): Json<UnderstandingContributions>,
    ) -> Result<Reply> {
        self.vote(&me, &id, request.header("idempotency-key"), Ballot::Understanding(body)).await
    }

    /// Shows how far the voting is; for the creator.
    #[http(GET, "/meetings/{id}/voting-info", errors = [403, 404])]
    async fn get_voting_info(&self, me: User, Path(id): Path<String>) -> Result<Json<VotingInfo>> {
        self.voting_info(&me, &id).await.map(Json)
    }

    /// Shows the results; for the creator.
    #[http(GET, "/meetings/{id}/results", errors = [403, 404])]
    async fn get_results(
        &self,
        me: User,
        Path(id): Path<String>,
        Query(query): Query<ResultsQuery>,
    ) -> Result<Json<Results>> {
        let meeting = self.directory.meeting(&id).await?;
        meeting.require_creator(&me.user_id)?;
        self.results(&meeting, query.phase.as_deref()).await.map(Json)
    }

    // ---- outside services ----

    /// The meeting is at another phase.
    #[inject("phase")]
    async fn phase(&self, room: RoomName, Json(given): Json<PhaseIn>) -> Result<()> {
        self.set_phase(&room, given).await
    }

    /// The list of those invited is another one.
    #[inject("participants")]
    async fn participant_list(&self, room: RoomName, Json(given): Json<ParticipantsIn>) -> Result<()> {
        self.set_participants(&room, given.participant_ids).await
    }

    /// A meeting.
    #[rpc("get")]
    async fn rpc_get(&self, Json(which): Json<Which>) -> Result<MeetingView> {
        Ok(MeetingView::from(&*self.directory.meeting(&which.meeting_id).await?))
    }

    /// The meetings that a user has made or is invited to.
    #[rpc("list")]
    async fn rpc_list(&self, Json(of): Json<ListOf>) -> Result<MeetingList> {
        self.list(&of.user_id, PageQuery { after: of.after, limit: of.limit }).await
    }

    /// Makes a meeting; refused when its id is taken.
    #[rpc("create")]
    async fn rpc_create(&self, Json(new): Json<Create>) -> Result<MeetingView> {
        let (creator, new) = new.split();
        self.create(&creator, new).await
    }

    /// Changes a meeting.
    #[rpc("update")]
    async fn rpc_update(&self, Json(update): Json<Update>) -> Result<MeetingView> {
        let (id, change) = update.split();
        self.change(&id, change, |_| Ok(())).await
    }

    /// Makes a meeting, or changes it when its id is taken.
    #[rpc("put")]
    async fn rpc_put(&self, Json(new): Json<Create>) -> Result<MeetingView> {
        self.put(new).await
    }

    /// Who is present.
    #[rpc("participants")]
    async fn rpc_participants(&self, Json(which): Json<Which>) -> Result<ActiveParticipants> {
        let meeting = self.directory.meeting(&which.meeting_id).await?;
        self.active_in(&meeting)
    }

    /// The results of a meeting.
    #[rpc("results")]
    async fn rpc_results(&self, Json(of): Json<ResultsOf>) -> Result<Results> {
        let meeting = self.directory.meeting(&of.meeting_id).await?;
        self.results(&meeting, of.phase.as_deref()).await
    }

    /// Forgets answers to idempotency keys whose time is over, a page at a time.
    #[every("30s")]
    async fn sweep(&self) -> Result<()> {
        let after = self.swept.lock().ok().and_then(|mut swept| swept.take());
        let next = once::sweep(&self.hub.kv(), after.as_deref(), self.hub.now_ms()).await?;
        if let Ok(mut swept) = self.swept.lock() {
            *swept = next;
        }
        Ok(())
    }
}

exedra_sdk::export!(Meetings);
