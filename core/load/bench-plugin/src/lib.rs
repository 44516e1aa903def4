//! The plugin that `exedra load` and `cargo xtask bench` run against: it joins, broadcasts and answers, and adds
//! nothing of its own to what is measured. The yardsticks beside it know the same three events.

use exedra_sdk::{prelude::*, serde_json::value::RawValue};

/// The plugin. It keeps nothing.
#[derive(Debug)]
pub struct Bench;

#[derive(Deserialize)]
struct Join<'a> {
    room: &'a str,
}

#[derive(Deserialize)]
struct Publish<'a> {
    room: &'a str,
    #[serde(borrow)]
    payload: &'a RawValue,
}

#[plugin(
    name = "bench",
    description = "Rooms, broadcasts and answers for the load tester",
    namespace = "/bench",
    auth = "required",
    emits = [
        /// What somebody has published to the room.
        "tick": Value,
    ]
)]
impl Bench {
    fn new() -> Self {
        Self
    }

    /// Joins the room of that name; the answer says how many are in it.
    #[event("join")]
    async fn join(&self, conn: Conn, hub: Hub, args: Args) -> Result<Value> {
        let join: Join<'_> = read(&args)?;
        let joined = hub.room(join.room).join(&conn, &())?;
        Ok(json!({ "members": joined.members }))
    }

    /// Sends `payload` to everybody in the room as `tick`, as it came.
    #[event("publish")]
    async fn publish(&self, hub: Hub, args: Args) -> Result<Value> {
        let publish: Publish<'_> = read(&args)?;
        hub.room(publish.room).emit("tick", publish.payload)?;
        Ok(json!({}))
    }

    /// Is acknowledged with the same arguments.
    #[event("ask")]
    async fn ask(&self, args: Args) -> Result<Args> {
        Ok(args)
    }
}

/// The first argument, borrowed from the text.
fn read<'a, T: Deserialize<'a>>(args: &'a Args) -> Result<T> {
    let (first,) = exedra_sdk::serde_json::from_slice(&args.json)?;
    Ok(first)
}

exedra_sdk::export!(Bench);

#[cfg(test)]
mod tests {
    use exedra_sdk::testing::{TestClient, TestHub};

    use super::*;

    async fn member(hub: &TestHub, user: &str) -> TestClient {
        let client = hub.client().namespace("/bench").user(user).connect().await.unwrap();
        client.call::<Value>("join", json!({ "room": "r" })).await.unwrap();
        client
    }

    #[tokio::test]
    async fn payload_reaches_all_members() {
        let hub = TestHub::with(entry(), json!({}));
        let (ann, bob) = (member(&hub, "ann").await, member(&hub, "bob").await);
        let sent = json!({ "room": "r", "payload": { "n": 1, "pad": "x" } });
        ann.call::<Value>("publish", sent).await.unwrap();
        for client in [ann, bob] {
            assert_eq!(client.next::<Value>("tick").await, json!({ "n": 1, "pad": "x" }));
        }
    }

    #[tokio::test]
    async fn answer_counts_members() {
        let hub = TestHub::with(entry(), json!({}));
        let _ann = member(&hub, "ann").await;
        let bob = hub.client().namespace("/bench").user("bob").connect().await.unwrap();
        let joined = bob.call::<Value>("join", json!({ "room": "r" })).await.unwrap();
        assert_eq!(joined, json!({ "members": 2 }));
    }
}
