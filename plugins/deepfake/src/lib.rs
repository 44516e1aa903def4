//! Deepfake detection for live meetings: engines stream scores, alerts and video frames in, over the bus or sockets,
//! and the people in the meeting see them live. This file is the plugin's face: its events, routes and subjects, each
//! a few lines that lead to the file where the thing is done.
//!
//! Alerts are kept in the store; who is where is known by the hub's rooms; numbers are in memory and copied to the
//! store, so that a restart loses at most one interval of them.

pub mod alert;
pub mod settings;
pub mod update;
pub mod value;
pub mod wire;

mod analytics;
mod attend;
mod audit;
mod books;
mod feed;
mod host;
mod refuse;
mod throttle;

#[cfg(test)]
mod tests;

use exedra_sdk::{Shelf, prelude::*, random::Sequence, value::Id};

use crate::{
    alert::{AckAlert, Alert, AlertAcknowledged, AlertIn, AlertList, AlertQuery, AlertsOf},
    attend::meeting_of,
    audit::Told,
    books::Books,
    feed::Feed,
    host::Host,
    refuse::{bad_data, no_meeting, told},
    settings::Settings,
    update::{AnalyticsUpdate, DetectionUpdate, FrameMeta, TrustScoreUpdate},
    wire::*,
};

/// The plugin.
pub struct Deepfake {
    hub: Hub,
    settings: Settings,
    feed: Arc<Feed>,
    books: Books,
    host: Host,
    alert_ids: Sequence,
    /// Alerts that people here have been told of, of those that may come again.
    told: Told,
    /// The alerts of all meetings.
    kept: Shelf,
    alerts: Counter,
    acknowledgements: Counter,
    anomalies: Counter,
    frame_bytes: Counter,
}

#[plugin(
    name = "deepfake",
    description = "Deepfake detection results, alerts and analytics, live in meetings",
    namespace = "/",
    auth = "required",
    refusal = RefusedAck,
    emits = [
        /// One has joined a meeting: everybody in it.
        "meeting-joined": MeetingJoined,
        /// One has left a meeting.
        "meeting-left": MeetingLeft,
        /// Another one has joined.
        "participant-joined": ParticipantJoined,
        /// Somebody has left, or was lost.
        "participant-left": ParticipantLeft,
        /// Results of a detection engine about a participant.
        "detection-update": DetectionUpdate,
        /// How far a participant is to be trusted.
        "trust-score-update": TrustScoreUpdate,
        /// Something looks forged.
        "deepfake-alert": Alert,
        /// Somebody has seen an alert.
        "alert-acknowledged": AlertAcknowledged,
        /// How the meeting stands.
        "analytics-update": AnalyticsUpdate,
        /// A frame: its bytes, and what is said of them.
        "video-frame": (Bytes, FrameMeta),
        /// Something that this connection asked for was refused.
        "error": ErrorOut,
    ],
    outs = [
        /// Somebody is in the meeting.
        "joined": ParticipantJoined,
        /// Somebody is not in it any more.
        "left": ParticipantLeft,
        /// An alert was raised.
        "alert": Alert,
        /// Somebody has seen an alert.
        "alert-acknowledged": AlertAcknowledged,
    ],
    metrics = [
        counter("alerts_total", "Alerts raised.", label "severity" in ["high", "medium", "low"]),
        counter("acknowledgements_total", "Acknowledgements of alerts."),
        counter("anomalies_total", "Times that something began to look wrong.",
            label "modality" in ["audio", "video", "behavioral"]),
        counter("updates_total", "Updates taken from detection engines.",
            label "event" in ["detection-update", "trust-score-update", "analytics-update", "video-frame"]),
        counter("throttled_total", "Updates that a newer one took the place of.",
            label "event" in ["detection-update", "trust-score-update", "analytics-update", "video-frame"]),
        counter("frame_bytes_total", "Bytes of video frames taken."),
    ]
)]
impl Deepfake {
    fn new(settings: Settings, hub: Hub) -> Result<Self> {
        if !(0.0..=1.0).contains(&settings.anomaly_threshold) {
            return Err(Error::invalid("settings: anomaly_threshold is from 0 to 1"));
        }
        Ok(Self {
            feed: Feed::new(hub.clone(), &settings)?,
            books: Books::new(hub.clone()),
            host: Host::default(),
            alert_ids: Sequence::default(),
            told: Told::default(),
            kept: Shelf::new(alert::ALL),
            alerts: hub.counter("alerts_total")?,
            acknowledgements: hub.counter("acknowledgements_total")?,
            anomalies: hub.counter("anomalies_total")?,
            frame_bytes: hub.counter("frame_bytes_total")?,
            settings,
            hub,
        })
    }

    #[connect]
    fn connected(&self, conn: Conn) -> Result<()> {
        self.count_in(&conn)
    }

    // ---- people ----

    /// Joins a meeting; answered with `meeting-joined`.
    #[event("join-meeting")]
    fn join_meeting(&self, conn: Conn, at: Result<Payload<At>, Error>) -> Result<Done<MeetingJoined>> {
        let joined = at.map_err(no_meeting).and_then(|Payload(at)| self.join(&conn, &at));
        told(&conn, joined.map(Done::with))
    }

    /// Leaves a meeting; answered with `meeting-left`.
    #[event("leave-meeting")]
    fn leave_meeting(&self, conn: Conn, at: Result<Payload<At>, Error>) -> Result<Done<MeetingLeft>> {
        let left = at.map_err(no_meeting).and_then(|Payload(at)| self.leave(&conn, &at));
        told(&conn, left.map(Done::with))
    }

    /// Says that one has seen an alert; everybody in the meeting gets `alert-acknowledged`.
    #[event("ack-alert")]
    async fn ack_alert(
        &self,
        conn: Conn,
        given: Result<Payload<AckAlert>, Error>,
    ) -> Result<Done<AlertAcknowledged>> {
        let acknowledged = match given {
            Ok(Payload(given)) => self.acknowledge(&conn, &given).await,
            Err(error) => Err(bad_data(error)),
        };
        told(&conn, acknowledged.map(Done::with))
    }

    /// A participant has gone from a meeting, whatever the way.
    #[leave]
    fn left(&self, room: RoomName, member: Member) -> Result<()> {
        self.gone(&room, &member)
    }

    /// Sends how the meeting stands, as the plugin has counted.
    #[state("analytics", window = |settings| settings.analytics_interval.0)]
    async fn analytics(&self, room: RoomName) -> Result<()> {
        match meeting_of(&room) {
            Some(meeting) => self.send_analytics(meeting).await,
            None => Ok(()),
        }
    }

    // ---- sockets of detection engines ----

    /// Results of a detection engine; people get `detection-update`.
    #[event("detection-results")]
    async fn detection_results(
        &self,
        conn: Conn,
        update: Result<Payload<DetectionUpdate>, Error>,
    ) -> Result<Done<Nothing>> {
        let taken = async {
            let Payload(update) = update.map_err(bad_data)?;
            let meeting = self.engine(&conn, update.meeting_id.as_ref())?;
            self.detection(&meeting, update).await
        };
        told(&conn, taken.await.map(|()| Done::with(Nothing {})))
    }

    /// A trust score of a detection engine.
    #[event("trust-score-update")]
    async fn trust_score(
        &self,
        conn: Conn,
        update: Result<Payload<TrustScoreUpdate>, Error>,
    ) -> Result<Done<Nothing>> {
        let taken = async {
            let Payload(update) = update.map_err(bad_data)?;
            let meeting = self.engine(&conn, update.meeting_id.as_ref())?;
            self.trust(&meeting, update).await
        };
        told(&conn, taken.await.map(|()| Done::with(Nothing {})))
    }

    /// An alert of a detection engine; acknowledged with its `alertId` when it is stored.
    #[event("deepfake-alert")]
    async fn deepfake_alert(
        &self,
        conn: Conn,
        alert: Result<Payload<AlertIn>, Error>,
    ) -> Result<Done<Raised>> {
        let taken = async {
            let Payload(alert) = alert.map_err(bad_data)?;
            let meeting = self.engine(&conn, alert.meeting_id.as_ref())?;
            self.raise(&meeting, alert, None).await
        };
        told(&conn, taken.await.map(|alert_id| Done::with(Raised { alert_id })))
    }

    /// Analytics of a detection engine.
    #[event("analytics-update")]
    async fn analytics_update(
        &self,
        conn: Conn,
        update: Result<Payload<AnalyticsUpdate>, Error>,
    ) -> Result<Done<Nothing>> {
        let taken = async {
            let Payload(update) = update.map_err(bad_data)?;
            let meeting = self.engine(&conn, update.meeting_id.as_ref())?;
            self.analytics_given(&meeting, update).await
        };
        told(&conn, taken.await.map(|()| Done::with(Nothing {})))
    }

    /// A video frame of a detection engine: two arguments, the bytes and what is said of them.
    #[event("video-frame", args = (Bytes, FrameMeta))]
    async fn video_frame(&self, conn: Conn, args: Args) -> Result<Done<Nothing>> {
        let taken = async {
            let (frame, meta) = frame_of(&args).map_err(bad_data)?;
            let meeting = self.engine(&conn, meta.meeting_id.as_ref())?;
            self.frame(&meeting, meta, frame).await
        };
        told(&conn, taken.await.map(|()| Done::with(Nothing {})))
    }

    // ---- the bus ----

    /// Results about a participant.
    #[inject("detection-update")]
    async fn detection_in(&self, room: RoomName, Json(update): Json<DetectionUpdate>) -> Result<()> {
        self.detection(&room, update).await
    }

    /// How far a participant is to be trusted.
    #[inject("trust-score-update")]
    async fn trust_in(&self, room: RoomName, Json(update): Json<TrustScoreUpdate>) -> Result<()> {
        self.trust(&room, update).await
    }

    /// An alert.
    #[inject("deepfake-alert")]
    async fn alert_in(
        &self,
        room: RoomName,
        delivery: Option<Delivery>,
        Json(alert): Json<AlertIn>,
    ) -> Result<()> {
        self.raise(&room, alert, delivery.as_ref()).await.map(drop)
    }

    /// How a meeting stands, as an engine sees it.
    #[inject("analytics-update")]
    async fn analytics_in(&self, room: RoomName, Json(update): Json<AnalyticsUpdate>) -> Result<()> {
        self.analytics_given(&room, update).await
    }

    /// A video frame: its bytes are the body, the header `Frame-Meta` says what they are as JSON.
    #[inject(
        "video-frame",
        body_type = "application/octet-stream",
        headers = [required("Frame-Meta", "What is said of the frame.", json FrameMeta)]
    )]
    async fn frame_in(&self, room: RoomName, headers: Headers, frame: Bytes) -> Result<()> {
        let meta =
            headers.get("frame-meta").ok_or_else(|| Error::invalid("the header Frame-Meta is missing"))?;
        let meta =
            serde_json::from_str(meta).map_err(|error| Error::invalid(format!("Frame-Meta: {error}")))?;
        self.frame(&room, meta, frame).await
    }

    /// The alerts of a meeting.
    #[rpc("alerts")]
    async fn rpc_alerts(&self, Json(of): Json<AlertsOf>) -> Result<AlertList> {
        let query = AlertQuery { since: of.since, severity: of.severity, limit: of.limit };
        self.list_alerts(&of.meeting_id.0, &query).await
    }

    /// How a meeting stands.
    #[rpc("analytics")]
    async fn rpc_analytics(&self, Json(of): Json<Which>) -> Result<AnalyticsUpdate> {
        self.analytics_now(&of.meeting_id.0).await
    }

    /// Who is connected.
    #[rpc("stats")]
    fn rpc_stats(&self, Json(_): Json<Option<Unasked>>) -> Result<Stats> {
        self.stats()
    }

    // ---- REST ----

    /// Who is connected.
    #[http(GET, "/api/meetings/stats/connections")]
    fn get_stats(&self, _me: User) -> Result<Json<Stats>> {
        self.stats().map(Json)
    }

    /// The alerts of a meeting, in order of their coming.
    #[http(GET, "/api/meetings/{id}/alerts", errors = [400 "INVALID_MEETING_ID"])]
    async fn get_alerts(
        &self,
        _me: User,
        Path(id): Path<String>,
        Query(query): Query<AlertQuery>,
    ) -> Result<Json<AlertList>> {
        self.list_alerts(&meeting_id(id)?, &query).await.map(Json)
    }

    /// How a meeting stands.
    #[http(GET, "/api/meetings/{id}/analytics", errors = [400 "INVALID_MEETING_ID"])]
    async fn get_analytics(&self, _me: User, Path(id): Path<String>) -> Result<Json<AnalyticsUpdate>> {
        self.analytics_now(&meeting_id(id)?).await.map(Json)
    }

    // ---- by the clock ----

    /// Forgets what is too old, and looks after the books.
    #[every("60s")]
    async fn tidy(&self) -> Result<()> {
        self.look_after_books()?;
        self.books.put_away(self.hub.now_ms()).await?;
        self.forget_old().await
    }

    /// The meeting that an engine's socket speaks of, if it is an engine's.
    fn engine(&self, conn: &Conn, meeting: Option<&Id>) -> Result<String> {
        let meeting = meeting.ok_or_else(|| bad_data(Error::invalid("missing field `meetingId`")))?;
        self.require_detector(conn)?;
        Ok(meeting.0.clone())
    }
}

fn meeting_id(id: String) -> Result<String> {
    Id::try_from(id).map(|id| id.0).map_err(|why| no_meeting(Error::invalid(why)))
}

/// The bytes and the meta of a frame that came over a socket.
fn frame_of(args: &Args) -> Result<(Bytes, FrameMeta)> {
    let mut values = args.values()?.into_iter();
    let frame = values.next().and_then(|value| args.binary(&value).cloned());
    let frame = frame.ok_or_else(|| Error::invalid("the first argument is the frame, as bytes"))?;
    let meta = serde_json::from_value(values.next().unwrap_or_default())
        .map_err(|error| Error::invalid(format!("the second argument: {error}")))?;
    Ok((frame, meta))
}

exedra_sdk::export!(Deepfake);
