//! What detection engines send, over the bus or a socket of their own: checked, filled in, counted, and sent on to
//! the people in the meeting, held back where it comes faster than anybody can look.

use std::sync::Arc;

use exedra_sdk::{
    prelude::*,
    value::{Id, When},
};

use crate::{
    Deepfake,
    attend::room_of,
    refuse,
    settings::{Detectors, Settings},
    throttle::{Throttle, Turn},
    update::{AnalyticsUpdate, DetectionUpdate, FrameMeta, TrustScoreUpdate},
};

/// Streams (a kind of update about a participant in a meeting) that may be held back at once; more flow freely.
const MOST_STREAMS: usize = 65_536;
/// The largest video frame in bytes: half of what may wait for a link, so that one frame cannot close it.
pub(crate) const LARGEST_FRAME: usize = 512 * 1024;

/// What is held back when it comes too fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Detection,
    Trust,
    Analytics,
    Frame,
}

impl Kind {
    /// The event that clients get.
    pub(crate) fn event(self) -> &'static str {
        match self {
            Self::Detection => "detection-update",
            Self::Trust => "trust-score-update",
            Self::Analytics => "analytics-update",
            Self::Frame => "video-frame",
        }
    }
}

/// One thing that must not come too often.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Stream {
    kind: Kind,
    meeting: String,
    /// Empty for what is about the whole meeting.
    participant: String,
}

/// The way to the people in meetings.
pub(crate) struct Feed {
    hub: Hub,
    throttle: Throttle<Stream, Message>,
    windows: (Duration, Duration),
    updates: Counter,
    throttled: Counter,
}

impl Feed {
    pub(crate) fn new(hub: Hub, settings: &Settings) -> Result<Arc<Self>> {
        Ok(Arc::new(Self {
            throttle: Throttle::new(MOST_STREAMS),
            windows: (settings.throttle.0, settings.frame_throttle.0),
            updates: hub.counter("updates_total")?,
            throttled: hub.counter("throttled_total")?,
            hub,
        }))
    }

    /// Sends an update now or soon; a newer one takes the place of one that waits.
    fn send(self: &Arc<Self>, kind: Kind, meeting: &str, participant: &str, message: Message) -> Result<()> {
        self.updates.with(kind.event()).inc();
        // Also a slow link gets only the newest of each stream.
        let message = message.latest(participant);
        let room = self.hub.room(room_of(meeting));
        if room.count()? == 0 {
            return Ok(());
        }
        let window = if kind == Kind::Frame { self.windows.1 } else { self.windows.0 };
        if window.is_zero() {
            return room.send(message);
        }
        let stream = Stream { kind, meeting: meeting.to_owned(), participant: participant.to_owned() };
        match self.throttle.offer(stream.clone(), message) {
            Turn::First(message) => {
                let feed = Arc::clone(self);
                self.hub.spawn(async move { feed.follow(stream, window).await })?;
                room.send(message)
            }
            Turn::Unheld(message) => room.send(message),
            Turn::Waits { replaced } => {
                if replaced {
                    self.throttled.with(kind.event()).inc();
                }
                Ok(())
            }
        }
    }

    /// Sends what comes after the first, the newest in each window, until one passes in which nothing came.
    async fn follow(&self, stream: Stream, window: Duration) {
        let room = self.hub.room(room_of(&stream.meeting));
        while self.hub.sleep(window).await.is_ok() {
            let Some(message) = self.throttle.next(&stream) else { return };
            if let Err(error) = room.send(message) {
                exedra_sdk::warn!("{} not sent: {}", stream.kind.event(), error.code_str());
            }
        }
    }
}

impl Deepfake {
    /// Whether a connection is a detection engine's.
    pub(crate) fn require_detector(&self, conn: &Conn) -> Result<()> {
        let has_role = || conn.user().is_some_and(|user| user.has_role(&self.settings.detector_role));
        if self.settings.detectors == Detectors::Anyone || has_role() {
            Ok(())
        } else {
            Err(refuse::no_detector())
        }
    }

    /// Results about a participant.
    pub(crate) async fn detection(&self, meeting: &str, mut update: DetectionUpdate) -> Result<()> {
        self.fill(meeting, &mut update.meeting_id, &mut update.timestamp)?;
        let (who, threshold) = (&update.participant_id.0, self.settings.anomaly_threshold);
        let began =
            self.books.change(meeting, |tally| tally.detection(who, &update.results, threshold)).await?;
        for modality in began {
            self.anomalies.with(modality.as_str()).inc();
        }
        self.send(Kind::Detection, meeting, who, &update)
    }

    /// How far a participant is to be trusted.
    pub(crate) async fn trust(&self, meeting: &str, mut update: TrustScoreUpdate) -> Result<()> {
        self.fill(meeting, &mut update.meeting_id, &mut update.timestamp)?;
        update.trust_level = Some(update.trust_score.into());
        update.more.remove("trustLevel");
        let (who, score) = (&update.participant_id.0, update.trust_score);
        self.books.change(meeting, |tally| tally.trust(who, score)).await?;
        self.send(Kind::Trust, meeting, who, &update)
    }

    /// An engine's own analytics; the plugin keeps its numbers to itself for a while.
    pub(crate) async fn analytics_given(&self, meeting: &str, mut update: AnalyticsUpdate) -> Result<()> {
        self.fill(meeting, &mut update.meeting_id, &mut update.timestamp)?;
        self.books.give(meeting, update.analytics.clone(), self.hub.now_ms()).await?;
        let message = Message::new(Kind::Analytics.event()).arg(&update);
        self.feed.send(Kind::Analytics, meeting, "", message)
    }

    /// A video frame: the bytes as they came, then what is said of them.
    pub(crate) async fn frame(&self, meeting: &str, mut meta: FrameMeta, frame: Bytes) -> Result<()> {
        if frame.is_empty() || frame.len() > LARGEST_FRAME {
            return Err(Error::too_large(format!("a frame has 1 to {LARGEST_FRAME} bytes")));
        }
        self.fill(meeting, &mut meta.meeting_id, &mut meta.timestamp)?;
        meta.binary = true;
        self.frame_bytes.inc_by(frame.len() as u64);
        self.books.change(meeting, crate::analytics::Tally::frame).await?;
        let message = Message::new(Kind::Frame.event()).binary(frame).arg(&meta);
        self.feed.send(Kind::Frame, meeting, &meta.participant_id.0, message)?;
        self.hub.room(room_of(meeting)).refresh("analytics")
    }

    fn send(
        &self,
        kind: Kind,
        meeting: &str,
        participant: &str,
        update: &impl serde::Serialize,
    ) -> Result<()> {
        self.feed.send(kind, meeting, participant, Message::new(kind.event()).arg(update))?;
        self.hub.room(room_of(meeting)).refresh("analytics")
    }

    /// Fills in the meeting and the time, unless they were said; a meeting that was said must be the one.
    pub(crate) fn fill(&self, meeting: &str, id: &mut Option<Id>, at: &mut Option<When>) -> Result<()> {
        match id {
            Some(said) if said.0 != meeting => {
                return Err(Error::invalid("meetingId is not the meeting that this was sent to"));
            }
            Some(_) => {}
            None => {
                *id = Some(
                    Id::try_from(meeting.to_owned())
                        .map_err(|why| refuse::no_meeting(Error::invalid(why)))?,
                )
            }
        }
        at.get_or_insert_with(|| When(self.hub.now_iso()));
        Ok(())
    }
}
