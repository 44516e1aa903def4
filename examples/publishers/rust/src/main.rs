//! A detection engine: streams made-up scores, alerts and video frames about a meeting into the deepfake plugin.

use std::{env, fmt::Write as _, time::Duration};

use anyhow::{Context, Result};
use async_nats::{Client, HeaderMap};
use serde_json::{Value, json};
use tokio::time::{interval, timeout};

const PARTICIPANTS: [&str; 3] = ["ann", "bob", "carol"];

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let meeting = arguments.next().unwrap_or_else(|| "123456789".to_owned());
    let seconds: f64 = arguments.next().as_deref().unwrap_or("30").parse().context("seconds")?;
    let server = env::var("NATS_URL").unwrap_or_else(|_| "nats://127.0.0.1:4222".to_owned());
    let engine = Engine { bus: async_nats::connect(&server).await.context(server)?, meeting };

    let answer = engine.raise(PARTICIPANTS[0]).await?;
    eprintln!("alert: {answer}");
    let mut turns = interval(Duration::from_millis(200));
    for turn in 0..(seconds * 5.0) as u32 {
        turns.tick().await;
        engine.look().await?;
        if turn % 5 == 0 {
            engine.show(PARTICIPANTS[0], bitmap(turn)).await?;
        }
    }
    engine.bus.flush().await.context("the last results")
}

/// What looks at one meeting.
struct Engine {
    bus: Client,
    meeting: String,
}

impl Engine {
    /// An alert must not get lost: as a request it is answered once it is stored.
    async fn raise(&self, participant: &str) -> Result<String> {
        let alert = json!({
            "participantId": participant,
            "severity": "high",
            "message": "Possible voice cloning detected",
            "type": "voice_clone_detected",
            "confidence": 0.95,
        });
        let asked = self.bus.request(subject(&self.meeting, "deepfake-alert"), alert.to_string().into());
        let answer = timeout(Duration::from_secs(5), asked).await.context("no answer")??;
        Ok(String::from_utf8_lossy(&answer.payload).into_owned())
    }

    /// Results about everybody.
    async fn look(&self) -> Result<()> {
        for (at, participant) in PARTICIPANTS.into_iter().enumerate() {
            let fake = at == 0;
            self.send("detection-update", json!({ "participantId": participant, "results": results(fake) }))
                .await?;
            let trust = score(if fake { 0.4 } else { 0.9 });
            self.send("trust-score-update", json!({ "participantId": participant, "trustScore": trust }))
                .await?;
        }
        Ok(())
    }

    /// A frame: bytes as they are; what they are stands in a header.
    async fn show(&self, participant: &str, frame: Vec<u8>) -> Result<()> {
        let mut headers = HeaderMap::new();
        headers.insert("Frame-Meta", json!({ "participantId": participant }).to_string());
        let subject = subject(&self.meeting, "video-frame");
        self.bus.publish_with_headers(subject, headers, frame.into()).await.context("a frame")
    }

    async fn send(&self, event: &str, payload: Value) -> Result<()> {
        self.bus.publish(subject(&self.meeting, event), payload.to_string().into()).await.context("a result")
    }
}

/// The subject of an event; whatever is not plain in the meeting's name becomes `=XX`.
fn subject(meeting: &str, event: &str) -> String {
    let mut subject = "exedra.in.deepfake.".to_owned();
    if meeting.is_empty() {
        subject.push('=');
    }
    for byte in meeting.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            subject.push(char::from(byte));
        } else {
            let _infallible = write!(subject, "={byte:02X}");
        }
    }
    subject + "." + event
}

fn results(fake: bool) -> Value {
    json!({
        "audioAnalysis": {
            "voiceCloneScore": score(if fake { 0.85 } else { 0.1 }),
            "confidence": score(0.92),
            "features": ["pitch_variation", "energy_contour"],
        },
        "videoAnalysis": {
            "facialConsistency": score(0.9), "lipSyncError": score(0.1), "confidence": score(0.88),
        },
        "behavioralAnalysis": { "emotionConsistency": score(0.82), "confidence": score(0.9) },
    })
}

/// Around the middle, from 0 to 1, with two digits.
fn score(middle: f64) -> f64 {
    let score: f64 = middle + rand::random_range(-0.1..0.1);
    (score.clamp(0.0, 1.0) * 100.0).round() / 100.0
}

/// A bitmap file of one colour: stands for a frame of the camera.
fn bitmap(turn: u32) -> Vec<u8> {
    const WIDTH: u32 = 64;
    const HEIGHT: u32 = 36;
    let size = WIDTH * HEIGHT * 3;
    let mut file = b"BM".to_vec();
    for number in [54 + size, 0, 54, 40, WIDTH, HEIGHT, 1 | 24 << 16, 0, 0, 0, 0, 0, 0] {
        file.extend(number.to_le_bytes());
    }
    let colour = [(turn * 8) as u8, 120, 200];
    file.extend(colour.iter().cycle().take(size as usize));
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_stay_in_one_part() {
        assert_eq!(subject("123-a_B", "video-frame"), "exedra.in.deepfake.123-a_B.video-frame");
        assert_eq!(subject("a.b *", "x"), "exedra.in.deepfake.a=2Eb=20=2A.x");
        assert_eq!(subject("", "x"), "exedra.in.deepfake.=.x");
    }

    #[test]
    fn scores_stay_in_range() {
        assert!((0..1000).all(|n| (0.0..=1.0).contains(&score(f64::from(n) / 999.0))));
    }

    #[test]
    fn pictures_have_their_size() {
        let picture = bitmap(3);
        assert_eq!(picture.len(), 54 + 64 * 36 * 3);
        assert_eq!(picture[2..6], (picture.len() as u32).to_le_bytes());
    }
}
