//! Safe retries: the same `Idempotency-Key` with the same body gets the same answer, with another body a refusal. The
//! key is claimed in the store before the work and filled with the answer after it, so that of two requests at the same
//! instant, on whatever nodes, only one body can win.

use exedra_sdk::{keys::digest, prelude::*};

use crate::keys;

/// Most characters of an `Idempotency-Key`.
pub(crate) const MAX_KEY: usize = 255;
/// Claims that one round of the sweep looks at.
const SWEEP: u32 = 200;

/// An answer that is given again to whoever repeats the request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Claim {
    fingerprint: String,
    until: u64,
    answer: Option<Answer>,
}

/// A request that carries a key.
pub(crate) struct Once<'a> {
    kv: &'a Kv,
    key: String,
    fingerprint: String,
    now: u64,
}

impl<'a> Once<'a> {
    /// `key` is the store's, see [`keys::once`]; `body` is what must stay the same.
    pub(crate) fn new(kv: &'a Kv, key: String, body: &impl Serialize, now: u64) -> Result<Self> {
        let fingerprint = digest(&serde_json::to_vec(body)?);
        Ok(Self { kv, key, fingerprint, now })
    }

    /// The answer that was given before, if there is one.
    pub(crate) async fn earlier(&self) -> Result<Option<Answer>> {
        let Some(claim) = self.kv.get::<Claim>(&self.key).await? else { return Ok(None) };
        Ok(self.live(claim.value)?.and_then(|claim| claim.answer))
    }

    /// Reserves the key for this body.
    pub(crate) async fn claim(&self, keep_ms: u64) -> Result<()> {
        let until = self.now.saturating_add(keep_ms);
        self.kv
            .modify(&self.key, |stored: Option<Claim>| {
                let fresh = || Claim { fingerprint: self.fingerprint.clone(), until, answer: None };
                Ok(stored.map(|claim| self.live(claim)).transpose()?.flatten().unwrap_or_else(fresh))
            })
            .await?;
        Ok(())
    }

    /// Remembers the answer. Of two at the same time the first stays, and both give it.
    pub(crate) async fn fill(&self, answer: Answer, keep_ms: u64) -> Result<Answer> {
        let until = self.now.saturating_add(keep_ms);
        let filled = self
            .kv
            .modify(&self.key, |stored: Option<Claim>| {
                let first = stored.map(|claim| self.live(claim)).transpose()?.flatten();
                let first = first.and_then(|claim| claim.answer).unwrap_or_else(|| answer.clone());
                Ok(Claim { fingerprint: self.fingerprint.clone(), until, answer: Some(first) })
            })
            .await?;
        Ok(filled.answer.unwrap_or(answer))
    }

    /// The claim unless its time is over; a refusal when it was made for another body.
    fn live(&self, claim: Claim) -> Result<Option<Claim>> {
        if claim.until <= self.now {
            return Ok(None);
        }
        if claim.fingerprint != self.fingerprint {
            return Err(Error::conflict("this Idempotency-Key was used with another body")
                .with_code("IDEMPOTENCY_KEY_REUSED"));
        }
        Ok(Some(claim))
    }
}

/// Refuses what cannot be an `Idempotency-Key`.
pub(crate) fn check_key(key: &str) -> Result<()> {
    let readable = key.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if key.is_empty() || key.len() > MAX_KEY || !readable {
        return Err(Error::invalid(format!("Idempotency-Key must be 1 to {MAX_KEY} printable characters")));
    }
    Ok(())
}

/// Drops claims whose time is over, one page after another; gives where to go on, or nothing at the end.
pub(crate) async fn sweep(kv: &Kv, after: Option<&str>, now: u64) -> Result<Option<String>> {
    let page = kv.list::<Claim>(keys::ONCE_PREFIX, after, SWEEP).await?;
    let next = page.last().filter(|_| page.len() == SWEEP as usize).map(|claim| claim.key.clone());
    for claim in page {
        if claim.value.until <= now {
            match kv.remove_revision(&claim.key, claim.revision).await {
                // Used anew in this very moment, or swept by another node.
                Err(error) if error.code != Code::Conflict => return Err(error),
                _ => {}
            }
        }
    }
    Ok(next)
}
