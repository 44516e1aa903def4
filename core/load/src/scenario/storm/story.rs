//! What the room of a storm is told, so that sessions that come back can be held to it: one event before, some while
//! everybody is away, one after. Every client must hear each of them, once and in order.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::LOOK;
use crate::{
    LoadError,
    client::Client,
    fleet::{Fleet, raw},
};

/// Time between two events.
const PACE: Duration = Duration::from_millis(20);

/// The events and who has heard them.
pub(super) struct Story {
    room: &'static str,
    /// Clients that have heard an event, by its number.
    heard: Box<[AtomicUsize]>,
    /// What a client heard, or did not, that it should not have.
    wrong: Mutex<Option<LoadError>>,
}

impl Story {
    /// With `missed` events while everybody is away.
    pub(super) fn new(room: &'static str, missed: u64) -> Self {
        let heard = (0..missed + 2).map(|_| AtomicUsize::new(0)).collect();
        Self { room, heard, wrong: Mutex::default() }
    }

    /// The number of the event that is told when all are back.
    fn last(&self) -> u64 {
        self.heard.len() as u64 - 1
    }

    /// Tells the event before the storm, and waits until all have heard it.
    pub(super) async fn begin(
        &self,
        fleet: &Fleet,
        speaker: &mut Client,
        all: usize,
    ) -> Result<(), LoadError> {
        self.tell(fleet, speaker, 0).await?;
        self.wait(0, all).await
    }

    /// Tells what everybody misses.
    pub(super) async fn go_on(&self, fleet: &Fleet, speaker: &mut Client) -> Result<(), LoadError> {
        for number in 1..self.last() {
            self.tell(fleet, speaker, number).await?;
            tokio::time::sleep(PACE).await;
        }
        Ok(())
    }

    /// Tells the last event, and waits until all have heard it: then they are in the room again.
    pub(super) async fn end(&self, fleet: &Fleet, speaker: &mut Client, all: usize) -> Result<(), LoadError> {
        self.tell(fleet, speaker, self.last()).await?;
        self.wait(self.last(), all).await
    }

    /// A client that has heard `next` events hears one more. Gives how many it has heard then.
    pub(super) fn hear(&self, next: u64, arguments: &str) -> Result<u64, LoadError> {
        let number = serde_json::from_str::<Value>(arguments).ok().and_then(|event| event[1]["n"].as_u64());
        if number != Some(next) {
            return Err(LoadError::Lost(format!("{arguments} where event {next} was due")));
        }
        self.heard.get(next as usize).map(|heard| heard.fetch_add(1, Ordering::Relaxed));
        Ok(next + 1)
    }

    /// Whether who has heard so many events has made up for what was missed.
    pub(super) fn is_caught_up(&self, heard: u64) -> bool {
        heard >= self.last()
    }

    /// Something was lost, doubled or out of order, or a session did not come back.
    pub(super) fn fail(&self, error: LoadError) {
        self.wrong.lock().get_or_insert(error);
    }

    /// What went wrong.
    pub(super) fn check(&self) -> Result<(), LoadError> {
        self.wrong.lock().take().map_or(Ok(()), Err)
    }

    async fn tell(&self, fleet: &Fleet, speaker: &mut Client, number: u64) -> Result<(), LoadError> {
        let argument = raw(&json!({ "room": self.room, "payload": { "n": number } }));
        speaker.call(&fleet.target.common.publish, &argument).await.map(drop)
    }

    async fn wait(&self, number: u64, all: usize) -> Result<(), LoadError> {
        const PATIENCE: Duration = Duration::from_secs(30);
        let start = Instant::now();
        loop {
            self.check()?;
            let heard = self.heard[number as usize].load(Ordering::Relaxed);
            if heard == all {
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                return Err(LoadError::Lost(format!("{heard} of {all} heard event {number}")));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_heard_in_order() {
        let story = Story::new("r", 1);
        let event = |n: u64| format!(r#"["tick",{{"n":{n}}},"offset"]"#);
        assert_eq!(story.hear(0, &event(0)), Ok(1));
        assert!(!story.is_caught_up(1));
        assert_eq!(story.hear(1, &event(1)), Ok(2));
        assert!(story.is_caught_up(2));
        for (next, number) in [(2, 1), (1, 2), (0, 1)] {
            assert!(story.hear(next, &event(number)).is_err(), "{next} {number}");
        }
        assert!(story.hear(0, r#"["tick"]"#).is_err());
    }
}
