//! A poll: everybody in a room votes, and sees the votes as they come. Which polls there are and what can be voted
//! for is set by the operator; the votes are in the hub's store and survive a restart.

use std::collections::BTreeMap;

use exedra_sdk::prelude::*;

/// `[plugins.quick-poll.settings]`
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The polls that there are; each is a room.
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 60)))]
    polls: Vec<String>,
    /// What can be voted for.
    #[schemars(length(min = 2, max = 8), inner(length(min = 1, max = 60)))]
    options: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { polls: vec!["demo".into()], options: vec!["yes".into(), "no".into()] }
    }
}

#[derive(Deserialize, JsonSchema)]
struct Join {
    poll: String,
}

#[derive(Deserialize, JsonSchema)]
struct Vote {
    option: String,
}

/// What can be voted for.
#[derive(Serialize, JsonSchema)]
struct Options {
    options: Vec<String>,
}

/// How many have voted for the same.
#[derive(Serialize, JsonSchema)]
struct Counted {
    votes: u64,
}

/// What services are told.
#[derive(Serialize, JsonSchema)]
struct Voted {
    option: String,
    votes: u64,
}

/// How a poll stands: what members are sent, and what REST answers.
#[derive(Serialize, JsonSchema)]
struct Poll {
    poll: String,
    votes: BTreeMap<String, u64>,
    members: u64,
}

/// What is stored of a poll.
#[derive(Default, Serialize, Deserialize)]
struct Stored {
    votes: BTreeMap<String, u64>,
    /// How far services' votes are among them.
    taken: Mark,
}

/// What is noted about a connection: the poll that it is in, and whether it has voted.
#[derive(Serialize, Deserialize)]
struct Seat {
    poll: String,
    voted: bool,
}

/// The plugin. Nothing of it lives in memory alone: a newer version of the library takes over where this one was.
pub struct QuickPoll {
    hub: Hub,
    settings: Settings,
    taken: Counter,
}

#[plugin(
    name = "quick-poll",
    description = "A poll: a room votes and sees the votes as they come",
    namespace = "/quick-poll",
    auth = "optional",
    emits = [
        /// How the poll stands.
        "poll": Poll,
    ],
    outs = [
        /// Somebody has voted.
        "voted": Voted,
    ],
    metrics = [counter("votes_total", "Votes taken", label "source" in ["client", "service"])]
)]
impl QuickPoll {
    fn new(settings: Settings, hub: Hub) -> Result<Self> {
        Ok(Self { taken: hub.counter("votes_total")?, settings, hub })
    }

    /// Joins a poll; the answer says what can be voted for, and `poll` tells how it stands.
    #[event("join")]
    async fn join(&self, conn: Conn, Payload(join): Payload<Join>) -> Result<Options> {
        self.known(&join.poll)?;
        let seat: Option<Seat> = conn.get_data()?;
        if seat.as_ref().is_some_and(|seat| seat.poll != join.poll) {
            return Err(Error::conflict("you are in another poll"));
        }
        if seat.is_none() {
            conn.set_data(&Seat { poll: join.poll.clone(), voted: false })?;
        }
        let room = self.hub.room(join.poll);
        room.join(&conn, &())?;
        room.refresh("poll")?;
        Ok(Options { options: self.settings.options.clone() })
    }

    /// Votes, once per connection; the answer says how many have voted for the same.
    #[event("vote")]
    async fn vote(&self, conn: Conn, Payload(vote): Payload<Vote>) -> Result<Counted> {
        let Some(seat) = conn.get_data::<Seat>()? else {
            return Err(Error::conflict("join a poll first"));
        };
        if seat.voted {
            return Err(Error::conflict("you have voted").with_code("VOTED"));
        }
        let votes = self.count(&seat.poll, &vote.option, None).await?;
        self.taken.with("client").inc();
        conn.set_data(&Seat { voted: true, ..seat })?;
        Ok(Counted { votes })
    }

    /// A vote that a service has taken somewhere else; one that comes again is counted once.
    #[inject("vote")]
    async fn injected(
        &self,
        poll: RoomName,
        delivery: Option<Delivery>,
        Json(vote): Json<Vote>,
    ) -> Result<()> {
        self.count(&poll, &vote.option, delivery.as_ref()).await?;
        self.taken.with("service").inc();
        Ok(())
    }

    /// How a poll stands.
    #[http(GET, "/quick-poll/{poll}", auth = "none", errors = [404])]
    async fn show(&self, Path(poll): Path<String>) -> Result<Json<Poll>> {
        Ok(Json(self.read(&poll).await?))
    }

    /// Sends how a poll stands to everybody in it, as it is at this moment.
    #[state("poll", window = "50ms")]
    async fn send(&self, poll: RoomName) -> Result<()> {
        let state = self.read(&poll).await?;
        self.hub.room(&*poll).emit("poll", &state)
    }

    #[leave]
    async fn left(&self, poll: RoomName) -> Result<()> {
        self.hub.room(&*poll).refresh("poll")
    }
}

impl QuickPoll {
    fn known(&self, poll: &str) -> Result<()> {
        if self.settings.polls.iter().any(|known| known == poll) {
            return Ok(());
        }
        Err(Error::not_found("there is no such poll"))
    }

    /// Counts one vote where all hubs see it, and says how many there are now.
    async fn count(&self, poll: &str, option: &str, delivery: Option<&Delivery>) -> Result<u64> {
        self.known(poll)?;
        if !self.settings.options.iter().any(|known| known == option) {
            return Err(Error::invalid("this cannot be voted for"));
        }
        let add = |stored: Option<Stored>| {
            let mut stored = stored.unwrap_or_default();
            if stored.taken.take(delivery) {
                *stored.votes.entry(option.to_owned()).or_default() += 1;
            }
            Ok(stored)
        };
        let stored = self.hub.kv().modify(&format!("votes/{poll}"), add).await?;
        let votes = stored.votes.get(option).copied().unwrap_or_default();
        self.hub.tell(poll, "voted", &Voted { option: option.to_owned(), votes });
        self.hub.room(poll).refresh("poll")?;
        Ok(votes)
    }

    async fn read(&self, poll: &str) -> Result<Poll> {
        self.known(poll)?;
        let stored = self.hub.kv().get::<Stored>(&format!("votes/{poll}")).await?;
        let stored = stored.map(|found| found.value).unwrap_or_default();
        let count = |option: &String| (option.clone(), stored.votes.get(option).copied().unwrap_or_default());
        let votes = self.settings.options.iter().map(count).collect();
        Ok(Poll { poll: poll.to_owned(), votes, members: self.hub.room(poll).count()? })
    }
}

exedra_sdk::export!(QuickPoll);

#[cfg(test)]
mod tests {
    use exedra_sdk::testing::TestHub;

    use super::*;

    fn hub() -> TestHub {
        TestHub::with(entry(), json!({ "polls": ["lunch"], "options": ["pizza", "salad"] }))
    }

    #[tokio::test]
    async fn votes_reach_everybody() {
        let hub = hub();
        let (ann, bob) = (hub.connect("ann").await, hub.anonymous().await);
        for client in [&ann, &bob] {
            let joined = client.call::<Value>("join", json!({ "poll": "lunch" })).await.unwrap();
            assert_eq!(joined, json!({ "options": ["pizza", "salad"] }));
        }
        let voted = ann.call::<Value>("vote", json!({ "option": "pizza" })).await.unwrap();
        assert_eq!(voted, json!({ "votes": 1 }));
        hub.advance(Duration::from_millis(50)).await;
        loop {
            let poll = bob.next::<Value>("poll").await;
            if poll["votes"] == json!({ "pizza": 1, "salad": 0 }) {
                break;
            }
        }
    }

    #[tokio::test]
    async fn second_vote_is_refused() {
        let hub = hub();
        let ann = hub.connect("ann").await;
        ann.call::<Value>("join", json!({ "poll": "lunch" })).await.unwrap();
        ann.call::<Value>("vote", json!({ "option": "salad" })).await.unwrap();
        let error = ann.call::<Value>("vote", json!({ "option": "salad" })).await.unwrap_err();
        assert_eq!(error["error"]["code"], "VOTED");
    }

    #[tokio::test]
    async fn services_vote_too() {
        let hub = hub();
        hub.inject("lunch", "vote", json!({ "option": "salad" })).await.unwrap();
        let (status, _, poll) = hub.http("GET", "/quick-poll/lunch").send().await;
        assert_eq!((status, &poll["votes"]), (200, &json!({ "pizza": 0, "salad": 1 })));
        assert!(hub.inject("dinner", "vote", json!({ "option": "salad" })).await.is_err());
    }

    #[tokio::test]
    async fn vote_that_comes_again_counts_once() {
        let hub = hub();
        for number in [1, 1, 2] {
            hub.deliver(number, ("lunch", "vote"), &[], r#"{"option":"salad"}"#).await.unwrap();
        }
        let (_, _, poll) = hub.http("GET", "/quick-poll/lunch").send().await;
        assert_eq!(poll["votes"]["salad"], 2);
    }
}
