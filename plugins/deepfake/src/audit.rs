//! Alerts on their way to people and into the audit trail, and back out of it. People hear of an alert at once and
//! always; whoever raised it is told that it was taken only when it survives a power cut. An alert that comes again in a
//! cluster has the same id: it is kept once, and told again only by a node that does not know that it was told.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use exedra_sdk::{futures::future::join, prelude::*, random::Sequence, time::Timestamp};

use crate::{
    Deepfake, alert,
    alert::{
        Ack, AckAlert, Alert, AlertAcknowledged, AlertIn, AlertList, AlertQuery, AlertView, MOST_ACKS,
        Record, Severity,
    },
    attend::{Profile, room_of},
    refuse,
    update::{Analytics, AnalyticsUpdate, More},
};

/// Alerts that a list shows when nothing is said, and at most.
const PAGE: (u32, u32) = (50, 500);
/// How long an alert may be known to people and not yet to the store, and how often one looks.
const BEFORE_STORED_MS: u64 = 2_000;
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long another node may take to write what it has counted.
const WRITTEN: Duration = Duration::from_millis(100);
/// Alerts that are looked at for one list, however few of them fit.
const MOST_LOOKED_AT: usize = 5_000;

/// Alerts of which it is remembered that they were told.
const MOST_TOLD: usize = 1024;

/// Ids of alerts that people have been told of, the newest last.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<VecDeque<String>>);

impl Told {
    /// Whether it is the first time.
    fn first(&self, id: &str) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.iter().any(|known| known == id) {
            return false;
        }
        if told.len() >= MOST_TOLD {
            told.pop_front();
        }
        told.push_back(id.to_owned());
        true
    }
}

impl Deepfake {
    /// Raises an alert; gives its id.
    pub(crate) async fn raise(
        &self,
        meeting: &str,
        mut given: AlertIn,
        delivery: Option<&Delivery>,
    ) -> Result<String> {
        self.fill(meeting, &mut given.meeting_id, &mut given.timestamp)?;
        given.action_required.get_or_insert(given.severity == Severity::High);
        given.more.remove("alertId");
        let received_at = self.hub.now_ms();
        let alert_id = match delivery {
            Some(delivery) => delivery.sequence_id(),
            None => self.alert_ids.next(received_at)?,
        };
        let first = delivery.is_none() || self.told.first(&alert_id);
        let alert = Alert { alert_id, alert: given };
        let record = Record { alert, received_at, acks: Vec::new() };
        let (kv, key) = (self.hub.kv(), alert::key_of(meeting, &record.alert.alert_id));
        // Both at once: a slow disk must not keep a warning from people. Nor must a store that is away; the sender is
        // told then, and may try again.
        let warn = async { if first { self.warn(meeting, &record.alert) } else { Ok(()) } };
        let (stored, said) = join(kv.create(&key, &record), warn).await;
        let conflict = stored.as_ref().is_err_and(|error| error.code == Code::Conflict);
        let kept_before = delivery.is_some() && conflict;
        if first && !kept_before {
            let began = self.books.change(meeting, |tally| tally.alert(&record.alert.alert)).await;
            if let Ok(Some(modality)) = began {
                self.anomalies.with(modality.as_str()).inc();
            }
            self.hub.room(room_of(meeting)).refresh("analytics")?;
        }
        said?;
        if !kept_before {
            stored?;
        }
        Ok(record.alert.alert_id)
    }

    /// Tells everybody of an alert.
    fn warn(&self, meeting: &str, alert: &Alert) -> Result<()> {
        self.alerts.with(alert.alert.severity.as_str()).inc();
        self.hub.tell(meeting, "alert", alert);
        self.hub.room(room_of(meeting)).emit("deepfake-alert", alert)
    }

    /// Notes that somebody in the meeting has seen an alert. Saying it twice changes nothing.
    pub(crate) async fn acknowledge(&self, conn: &Conn, given: &AckAlert) -> Result<AlertAcknowledged> {
        let (meeting, id) = (&given.meeting_id.0, &given.alert_id.0);
        let Profile { user_id, user_name } = self.require_in(conn, meeting)?;
        if !Sequence::made(id) {
            return Err(refuse::no_alert());
        }
        self.wait_for(meeting, id).await?;
        let at = self.hub.now_ms();
        let mut first = true;
        let (kv, key) = (self.hub.kv(), alert::key_of(meeting, id));
        let record = kv.modify(&key, |record: Option<Record>| {
            let mut record = record.ok_or_else(refuse::no_alert)?;
            first = !record.acks.iter().any(|ack| ack.user_id == user_id);
            if first && record.acks.len() >= MOST_ACKS {
                return Err(Error::busy("this alert has been acknowledged often enough"));
            }
            if first {
                record.acks.push(Ack { user_id: user_id.clone(), user_name: user_name.clone(), at });
            }
            Ok(record)
        });
        let record = record.await?;
        let at = record.acks.iter().find(|ack| ack.user_id == user_id).map_or(at, |ack| ack.at);
        let acknowledged = AlertAcknowledged {
            meeting_id: meeting.clone(),
            alert_id: id.clone(),
            user_id,
            user_name,
            timestamp: Timestamp(at),
        };
        if first {
            self.acknowledgements.inc();
            self.hub.room(room_of(meeting)).emit("alert-acknowledged", &acknowledged)?;
            self.hub.tell(meeting, "alert-acknowledged", &acknowledged);
        }
        Ok(acknowledged)
    }

    /// Waits until an alert is stored: whoever is quick has seen it a moment before.
    async fn wait_for(&self, meeting: &str, id: &str) -> Result<()> {
        let (kv, key) = (self.hub.kv(), alert::key_of(meeting, id));
        // An id may say any time, also one to come.
        let deadline = Sequence::time_ms(id).min(self.hub.now_ms()).saturating_add(BEFORE_STORED_MS);
        while kv.get_bytes(&key).await?.is_none() {
            if self.hub.now_ms() > deadline {
                return Err(refuse::no_alert());
            }
            self.hub.sleep(LOOK_AGAIN).await?;
        }
        Ok(())
    }

    /// The alerts of a meeting, in order of their coming.
    pub(crate) async fn list_alerts(&self, meeting: &str, query: &AlertQuery) -> Result<AlertList> {
        let limit = query.limit.unwrap_or(PAGE.0).clamp(1, PAGE.1);
        let since = query.since.as_deref().filter(|since| !since.is_empty());
        let mut after = since.map(|since| alert::beginning(meeting, since)).transpose()?;
        let mut list = AlertList { meeting_id: meeting.to_owned(), alerts: Vec::new(), next: None };
        let mut looked_at = 0;
        loop {
            let page =
                self.hub.kv().list::<Record>(&alert::prefix_of(meeting), after.as_deref(), limit).await?;
            let last_page = page.len() < limit as usize;
            for entry in page {
                looked_at += 1;
                let id = entry.value.alert.alert_id.clone();
                if query.severity.is_none_or(|wanted| wanted == entry.value.alert.alert.severity) {
                    list.alerts.push(AlertView::from(entry.value));
                }
                if list.alerts.len() >= limit as usize || looked_at >= MOST_LOOKED_AT {
                    list.next = Some(id);
                    return Ok(list);
                }
                after = Some(entry.key);
            }
            if last_page {
                return Ok(list);
            }
        }
    }

    /// How a meeting stands: as an engine has said lately, else as the plugin has counted.
    pub(crate) async fn analytics_of(&self, meeting: &str) -> Result<(Analytics, bool)> {
        let participants = self.hub.room(room_of(meeting)).count()?;
        let now = self.hub.now_ms();
        // An engine that has said nothing for five intervals has nothing to say any more.
        let lately = now.saturating_sub(self.settings.analytics_interval.as_ms().saturating_mul(5));
        let (mut analytics, given) = self.books.read(meeting, participants, lately).await?;
        if !given {
            let load = self.host.load(now);
            (analytics.cpu_usage, analytics.memory_usage) = (load.cpu, load.memory);
        }
        Ok((analytics, given))
    }

    /// The answer of `GET /api/meetings/{id}/analytics`.
    pub(crate) async fn analytics_now(&self, meeting: &str) -> Result<AnalyticsUpdate> {
        let (analytics, _) = self.analytics_of(meeting).await?;
        let (mut meeting_id, mut timestamp) = (None, None);
        self.fill(meeting, &mut meeting_id, &mut timestamp)?;
        Ok(AnalyticsUpdate { meeting_id, analytics, timestamp, more: More::new() })
    }

    /// Sends the plugin's own analytics, unless an engine does.
    pub(crate) async fn send_analytics(&self, meeting: &str) -> Result<()> {
        let saved = self.books.save(meeting).await;
        if let Ok(false) = saved {
            self.hub.sleep(WRITTEN).await?; // if another node has something new, it writes it now
        }
        let (analytics, given) = self.analytics_of(meeting).await?;
        if given {
            return saved.map(drop);
        }
        let (mut meeting_id, mut timestamp) = (None, None);
        self.fill(meeting, &mut meeting_id, &mut timestamp)?;
        let update = AnalyticsUpdate { meeting_id, analytics, timestamp, more: More::new() };
        self.hub.room(room_of(meeting)).send(Message::new("analytics-update").arg(&update).latest(""))?;
        saved.map(drop)
    }

    /// Forgets old alerts, some pages at a time.
    pub(crate) async fn forget_old(&self) -> Result<()> {
        let before = self.hub.now_ms().saturating_sub(self.settings.keep_alerts.as_ms());
        self.kept.sweep::<Record>(&self.hub.kv(), |record| record.received_at < before).await
    }
}
