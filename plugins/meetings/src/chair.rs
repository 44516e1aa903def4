//! Making and steering meetings, whoever asks: the creator over REST, services over NATS. Every way ends here, so that
//! the room hears of a new phase and those not invited any more are out, whatever the way.

use exedra_sdk::prelude::*;

use crate::{
    Meetings,
    directory::Directory,
    meeting::{Change, Meeting, MeetingView, NewMeeting, check_id, check_label},
    presence::room_of,
    wire::{Create, MeetingList, PageQuery, PhaseChanged, PhaseIn, Update},
};

/// Meetings of a page when nobody says how many.
const PAGE: u32 = 50;

impl Meetings {
    /// Makes a meeting.
    pub(crate) async fn create(&self, creator: &str, new: NewMeeting) -> Result<MeetingView> {
        let meeting = self.directory.register()?.create(creator, new).await?;
        exedra_sdk::info!("meeting {} created by {creator}", meeting.meeting_id);
        let view = MeetingView::from(&meeting);
        self.hub.tell(&meeting.meeting_id, "created", &view);
        Ok(view)
    }

    /// A page of a user's meetings.
    pub(crate) async fn list(&self, user: &str, page: PageQuery) -> Result<MeetingList> {
        let limit = page.limit.unwrap_or(PAGE);
        let found = self.directory.register()?.mine(user, page.after.as_deref(), limit).await?;
        Ok(MeetingList { meetings: found.meetings.iter().map(MeetingView::from).collect(), next: found.next })
    }

    /// Changes a meeting if `allowed` lets it.
    pub(crate) async fn change(
        &self,
        id: &str,
        change: Change,
        allowed: impl Fn(&Meeting) -> Result<()>,
    ) -> Result<MeetingView> {
        check_id("meetingId", id)?;
        let (before, after) = self.directory.register()?.change(id, change, allowed).await?;
        if before.participant_ids != after.participant_ids {
            self.turn_out(&after)?;
        }
        if (&before.phase, &before.status) != (&after.phase, &after.status) {
            self.announce_phase(id, after.phase.clone(), after.status.clone())?;
        }
        Ok(MeetingView::from(&after))
    }

    /// Makes a meeting, or changes it when its id is taken. The creator stays who it was.
    pub(crate) async fn put(&self, new: Create) -> Result<MeetingView> {
        let Some(id) = new.meeting_id.clone() else { return Err(Error::invalid("meetingId is missing")) };
        let (creator, made) = new.clone().split();
        match self.create(&creator, made).await {
            Err(error) if error.code == Code::Conflict && error.own_code.is_none() => {
                self.change(&id, new.into_change(), |_| Ok(())).await
            }
            done => done,
        }
    }

    /// A service says what a meeting is at.
    pub(crate) async fn set_phase(&self, id: &str, given: PhaseIn) -> Result<()> {
        check_label("phase", &given.phase)?;
        given.status.as_deref().map_or(Ok(()), |status| check_label("status", status))?;
        match &self.directory {
            Directory::Store(_) => {
                let change = Change { phase: Some(given.phase), status: given.status, ..Change::default() };
                self.change(id, change, |_| Ok(())).await.map(drop)
            }
            // The service that knows the meeting has spoken: it is told on, not doubted.
            Directory::Nats(service) => {
                check_id("meetingId", id)?;
                service.forget(id);
                let status = match given.status {
                    Some(status) => status,
                    None => self
                        .directory
                        .meeting(id)
                        .await
                        .map_or_else(|_| Meeting::FIRST_STATUS.to_owned(), |meeting| meeting.status.clone()),
                };
                self.announce_phase(id, given.phase, status)
            }
        }
    }

    /// A service says who is invited.
    pub(crate) async fn set_participants(&self, id: &str, participant_ids: Vec<String>) -> Result<()> {
        match &self.directory {
            Directory::Store(_) => {
                let change = Change { participant_ids: Some(participant_ids), ..Change::default() };
                self.change(id, change, |_| Ok(())).await.map(drop)
            }
            Directory::Nats(service) => {
                check_id("meetingId", id)?;
                service.forget(id);
                let mut meeting = Meeting::clone(&*self.directory.meeting(id).await?);
                meeting.participant_ids = participant_ids;
                self.turn_out(&meeting)
            }
        }
    }

    fn announce_phase(&self, id: &str, phase: String, status: String) -> Result<()> {
        self.phase_changes.inc();
        let changed = PhaseChanged { meeting_id: id.to_owned(), phase, status };
        exedra_sdk::info!("meeting {id}: phase {:?}, status {:?}", changed.phase, changed.status);
        self.hub.room(room_of(id)).emit("phaseChanged", &changed)?;
        self.hub.tell(id, "phase-changed", &changed);
        Ok(())
    }
}

impl Create {
    /// Who makes it, and what.
    pub(crate) fn split(self) -> (String, NewMeeting) {
        let new = NewMeeting {
            meeting_id: self.meeting_id,
            title: self.title.unwrap_or_default(),
            participant_ids: self.participant_ids.unwrap_or_default(),
            phase: self.phase,
            status: self.status,
        };
        (self.creator_id, new)
    }

    fn into_change(self) -> Change {
        let Self { title, participant_ids, phase, status, .. } = self;
        Change { title, phase, status, participant_ids }
    }
}

impl Update {
    /// Which meeting, and what shall be different.
    pub(crate) fn split(self) -> (String, Change) {
        let Self { meeting_id, title, phase, status, participant_ids } = self;
        (meeting_id, Change { title, phase, status, participant_ids })
    }
}
