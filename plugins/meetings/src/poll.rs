//! Voting: taking votes, saying how far it is, and the results. A vote is answered only when it is durable; the others
//! hear that somebody voted, never what.

use exedra_sdk::{prelude::*, time::Timestamp};

use crate::{
    Meetings, ballots, keys,
    meeting::Meeting,
    once::{self, Answer, Once},
    presence::{VotingParticipant, meeting_of, present, room_of},
    results::{Progress, Results, SubmissionStatus},
    vote::{Ballot, Kind},
    wire::{Submitted, Voted, VotingInfo, VotingProgress},
};

impl Meetings {
    /// Takes a vote; with an `Idempotency-Key` at most once.
    pub(crate) async fn vote(
        &self,
        me: &User,
        id: &str,
        given_key: Option<&str>,
        ballot: Ballot,
    ) -> Result<Reply> {
        let answer = match given_key {
            None => {
                let meeting = self.open_for(me, id, &ballot).await?;
                self.cast(me, &meeting, ballot).await?
            }
            Some(given) => self.vote_once(me, id, given, ballot).await?,
        };
        Reply::json(answer.status, &answer.body)
    }

    async fn vote_once(&self, me: &User, id: &str, given: &str, ballot: Ballot) -> Result<Answer> {
        once::check_key(given)?;
        let kv = self.hub.kv();
        let key = keys::once(&me.user_id, id, ballot.kind().as_str(), given);
        let once = Once::new(&kv, key, &ballot, self.hub.now_ms())?;
        // A retry gets its answer even when the meeting has gone on since.
        if let Some(answer) = once.earlier().await? {
            return Ok(answer);
        }
        let meeting = self.open_for(me, id, &ballot).await?;
        let keep = self.settings.idempotency.as_ms();
        once.claim(keep).await?;
        let answer = self.cast(me, &meeting, ballot).await?;
        once.fill(answer, keep).await
    }

    /// The meeting, if this user may cast this vote in it now.
    async fn open_for(&self, me: &User, id: &str, ballot: &Ballot) -> Result<std::sync::Arc<Meeting>> {
        let meeting = self.directory.meeting(id).await?;
        meeting.require_invited(&me.user_id)?;
        if meeting.is_over() {
            return Err(Error::conflict("the meeting has ended").with_code("MEETING_ENDED"));
        }
        ballot.check(&me.user_id, &meeting)?;
        Ok(meeting)
    }

    async fn cast(&self, me: &User, meeting: &Meeting, ballot: Ballot) -> Result<Answer> {
        let (kind, at, id) = (ballot.kind(), self.hub.now_ms(), meeting.meeting_id.as_str());
        let replaced = ballots::cast(&self.hub.kv(), meeting, &me.user_id, ballot, at).await?;
        let submitted = Submitted {
            success: true,
            meeting_id: id.to_owned(),
            phase: meeting.phase.clone(),
            kind,
            submitted_at: Timestamp(at),
            replaced,
        };
        self.votes.with(kind.as_str()).inc();
        self.hub.room(room_of(id)).refresh(kind.as_str())?;
        let voted = Voted { user_id: me.user_id.clone(), submitted: submitted.clone() };
        self.hub.tell(id, "voted", &voted);
        let status = if replaced { 200 } else { 201 };
        Ok(Answer { status, body: serde_json::to_value(&submitted)? })
    }

    /// Tells the room how far the voting of a kind is.
    pub(crate) async fn send_progress(&self, room: &str, kind: Kind) -> Result<()> {
        let Some(id) = meeting_of(room) else { return Ok(()) };
        let phase = self.directory.meeting(id).await?.phase.clone();
        let submitted = ballots::voters(&self.hub.kv(), id, &phase, kind).await?.len();
        let room = self.hub.room(room);
        let progress = Progress::of(submitted, room.count()? as usize);
        room.emit("voting_progress", &VotingProgress { meeting_id: id.to_owned(), phase, kind, progress })
    }

    /// How far the voting is, for the creator.
    pub(crate) async fn voting_info(&self, me: &User, id: &str) -> Result<VotingInfo> {
        let meeting = self.directory.meeting(id).await?;
        meeting.require_creator(&me.user_id)?;
        let kv = self.hub.kv();
        let [emotional, understanding] = Kind::ALL;
        let by_kind = [
            (emotional, ballots::voters(&kv, id, &meeting.phase, emotional).await?),
            (understanding, ballots::voters(&kv, id, &meeting.phase, understanding).await?),
        ];
        let voting_participants: Vec<VotingParticipant> = present(&self.hub.room(room_of(id)))?;
        let names: Vec<String> = voting_participants.iter().map(|present| present.id.clone()).collect();
        let submission_status = SubmissionStatus::of(by_kind, &names);
        Ok(VotingInfo {
            meeting_id: id.to_owned(),
            phase: meeting.phase.clone(),
            status: meeting.status.clone(),
            total_voting_participants: voting_participants.len(),
            voting_progress: Progress::of(submission_status.submitted.len(), voting_participants.len()),
            voting_participants,
            submission_status,
        })
    }

    /// The results of a meeting, or of one of its phases.
    pub(crate) async fn results(&self, meeting: &Meeting, phase: Option<&str>) -> Result<Results> {
        let id = meeting.meeting_id.as_str();
        let phases = ballots::tally(&self.hub.kv(), id, phase).await?.into_phases();
        Ok(Results {
            meeting_id: id.to_owned(),
            phase: meeting.phase.clone(),
            status: meeting.status.clone(),
            phases,
        })
    }
}
