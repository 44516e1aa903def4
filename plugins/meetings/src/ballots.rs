//! Votes in the store: one per user, kind and phase. A vote is written first and the small note that it was cast
//! second; both before the voter hears of success, so a crash in between only means that the voter tries again.

use exedra_sdk::prelude::*;

use crate::{
    keys,
    meeting::{MAX_PARTICIPANTS, Meeting},
    results::Tally,
    vote::{Ballot, Kind, Vote},
};

/// Voters of one phase that are counted; more than can be invited at a time, for lists that changed in between.
const MAX_VOTERS: usize = 10 * MAX_PARTICIPANTS;
/// Votes that are read at a time; one may be hundreds of kilobytes.
const VOTES_AT_A_TIME: u32 = 16;

#[derive(Clone, Serialize, Deserialize)]
struct Note {
    user: String,
    at: u64,
}

/// Stores a vote; says whether it took the place of an earlier one.
pub(crate) async fn cast(kv: &Kv, meeting: &Meeting, voter: &str, ballot: Ballot, at: u64) -> Result<bool> {
    let kind = ballot.kind().as_str();
    let (id, phase) = (meeting.meeting_id.as_str(), meeting.phase.as_str());
    let vote = Vote { user: voter.to_owned(), phase: phase.to_owned(), at, ballot };
    let mut replaced = false;
    kv.modify(&keys::vote(id, phase, kind, voter), |earlier: Option<Vote>| {
        replaced = earlier.is_some();
        Ok(vote.clone())
    })
    .await?;
    kv.put(&keys::voted(id, phase, kind, voter), &Note { user: voter.to_owned(), at }).await?;
    Ok(replaced)
}

/// Who has voted in a phase, and when.
pub(crate) async fn voters(kv: &Kv, meeting: &str, phase: &str, kind: Kind) -> Result<Vec<(String, u64)>> {
    let prefix = keys::voted_prefix(meeting, phase, kind.as_str());
    let notes = kv.list_all::<Note>(&prefix, MAX_VOTERS).await?;
    Ok(notes.into_iter().map(|note| (note.value.user, note.value.at)).collect())
}

/// Sums up the votes of a meeting, or of one of its phases.
pub(crate) async fn tally(kv: &Kv, meeting: &str, phase: Option<&str>) -> Result<Tally> {
    let prefix = keys::votes_prefix(meeting, phase);
    let mut tally = Tally::default();
    let mut after: Option<String> = None;
    loop {
        let page = kv.list::<Vote>(&prefix, after.as_deref(), VOTES_AT_A_TIME).await?;
        page.iter().for_each(|vote| tally.add(&vote.value));
        if page.len() < VOTES_AT_A_TIME as usize {
            return Ok(tally);
        }
        after = page.into_iter().last().map(|vote| vote.key);
    }
}
