//! The plugin under test.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use exedra_sdk::prelude::*;

/// Its settings.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Makes `new` fail or panic.
    fail: String,
    /// Between two ticks.
    tick: Span,
    most: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { fail: String::new(), tick: Span::secs(30), most: 2 }
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Say {
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) times: u8,
}

pub(crate) struct Sample {
    hub: Hub,
    settings: Settings,
    words: Counter,
    level: Gauge,
    took: Histogram,
    ticks: AtomicU64,
    dropped: Arc<AtomicU64>,
}

/// Counts when it is dropped, so that tests see a handler end early.
struct Dropped(Arc<AtomicU64>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn private_fault() -> Result<(), std::num::ParseIntError> {
    "secret".parse::<u8>().map(drop)
}

#[plugin(
    name = "sample",
    description = "Uses everything",
    auth = "optional",
    namespaces = ["/", "/room/{roomId}"],
    emits = [
        /// Somebody has said something.
        "said": Say,
        "hello": Value,
        "bye": u8,
        "late": u8,
        "spawned": (),
        /// Several arguments,
        /// one of them no JSON.
        "frame": (String, Bytes),
        "your-name": () => String,
        "list": u64,
        "tick": u64,
        "phase": Say,
        "anything": Args,
    ],
    outs = ["left": Value, "bye": Value, "*"],
    asks = ["directory.word": String => Option<String>],
    refusal = String,
    metrics = [
        counter("words_total", "Words said", label "kind" in ["loud", "quiet"]),
        gauge("level", "How loud it is"),
        histogram("took_seconds", "How long it took"),
    ]
)]
impl Sample {
    fn new(settings: Settings, hub: &Hub) -> Result<Self> {
        match settings.fail.as_str() {
            "error" => return Err(Error::invalid("no thanks")),
            "panic" => panic!("born dead"),
            _ => {}
        }
        assert!(hub.counter("level").is_err(), "a gauge is no counter");
        Ok(Self {
            words: hub.counter("words_total")?,
            level: hub.gauge("level")?,
            took: hub.histogram("took_seconds")?,
            hub: hub.clone(),
            settings,
            ticks: AtomicU64::new(0),
            dropped: Arc::default(),
        })
    }

    #[start]
    async fn started(&self) -> Result<()> {
        self.hub.kv().put("started", &true).await?;
        info!("started with {}", self.settings.tick);
        Ok(())
    }

    #[connect]
    async fn hello(&self, conn: Conn, user: Option<User>, Peer(peer): Peer) -> Result<()> {
        match conn.query("mode") {
            Some("refuse") => return Err(Error::busy("two at most").with_code("TOO_MANY")),
            Some("panic") => panic!("at the door"),
            Some("wait") => self.hub.sleep(Duration::from_secs(1)).await?,
            _ => {}
        }
        assert_eq!(user.as_ref(), conn.user());
        assert_eq!(conn.peer(), Some(peer));
        conn.emit(
            "hello",
            &json!({ "user": user.map(|u| u.user_id), "room": conn.param("roomId"), "auth": conn.auth() }),
        )
    }

    /// Says something
    /// to everybody.
    ///
    /// Not part of the description.
    #[event("say", timeout = "5s")]
    async fn say(&self, conn: Conn, Payload(say): Payload<Say>) -> Result<Say> {
        self.words.with(if say.times > 3 { "loud" } else { "quiet" }).inc();
        self.hub.room("all").emit_except(&conn, "said", &say)?;
        Ok(say)
    }

    #[event("nothing")]
    fn nothing(&self) {}

    #[event("maybe")]
    fn maybe(&self, Payload(give): Payload<bool>) -> Result<Option<u8>> {
        Ok(give.then_some(7))
    }

    #[event("me")]
    async fn me(&self, me: User) -> Result<String> {
        Ok(me.user_id)
    }

    #[event("*")]
    async fn any(&self, name: EventName, args: Args) -> Result<Args> {
        if &*name == "unknown" {
            return Err(Error::not_found("no such event"));
        }
        Ok(args)
    }

    #[event("fail")]
    async fn fail(&self, Payload(how): Payload<String>) -> Result<()> {
        match how.as_str() {
            "private" => private_fault()?,
            "body" => return Err(Error::conflict("x").with_body(json!({ "mine": true }))),
            "panic" => panic!("in a handler"),
            "late panic" => {
                self.hub.kv().get::<bool>("started").await?;
                panic!("after waiting")
            }
            _ => {}
        }
        Ok(())
    }

    #[event("slow")]
    async fn slow(&self) -> Result<()> {
        let _seen = Dropped(self.dropped.clone());
        self.hub.sleep(Duration::from_secs(60)).await
    }

    #[event("dropped")]
    fn dropped(&self) -> Result<u64> {
        Ok(self.dropped.load(Ordering::SeqCst))
    }

    #[event("race")]
    async fn race(&self) -> Result<String> {
        let quick = async {
            self.hub.sleep(Duration::from_secs(2)).await?;
            Ok::<_, Error>("quick".to_owned())
        };
        match self.hub.timeout(Duration::from_secs(1), quick).await {
            Ok(word) => word,
            Err(error) => Ok(error.code.to_string()),
        }
    }

    #[event("ask-me")]
    async fn ask_me(&self, conn: Conn) -> Result<String> {
        conn.request("your-name", &(), Duration::from_secs(3)).await
    }

    #[event("note")]
    fn note(&self, conn: Conn, Payload(note): Payload<Option<String>>) -> Result<Option<String>> {
        let before = conn.get_data()?;
        if let Some(note) = note {
            conn.set_data(&note)?;
        }
        Ok(before)
    }

    #[event("undeclared")]
    fn undeclared(&self, conn: Conn) -> Result<()> {
        conn.emit("no such event", &())
    }

    #[event("two", args = (Bytes, Say))]
    fn two(&self, _args: Args) -> Result<Args> {
        Ok(Args::none())
    }

    #[event("kick")]
    fn kick(&self, conn: Conn) -> Result<()> {
        conn.emit("bye", &1)?;
        conn.disconnect()?;
        match conn.emit("late", &2) {
            Err(error) if error.code == Code::Gone => Ok(()),
            other => panic!("a late emit gave {other:?}"),
        }
    }

    #[event("spawn")]
    fn spawn(&self, conn: Conn) -> Result<()> {
        let hub = self.hub.clone();
        self.hub.spawn(async move {
            if hub.sleep(Duration::from_millis(10)).await.is_ok() {
                let _gone = conn.emit("spawned", &());
            }
        })
    }

    #[event("join")]
    fn join(&self, conn: Conn, Payload(room): Payload<String>) -> Result<(bool, u64)> {
        let joined = self.hub.room(room).join_max(&conn, &json!({ "kind": "guest" }), self.settings.most)?;
        Ok((joined.first, joined.members))
    }

    #[event("out")]
    fn go_out(&self, conn: Conn, Payload(room): Payload<String>) -> Result<(bool, u64)> {
        let left = self.hub.room(room).leave(&conn)?;
        Ok((left.last, left.members))
    }

    #[event("members")]
    fn members(&self, Payload(room): Payload<String>) -> Result<Vec<(String, u64, String)>> {
        #[derive(Deserialize)]
        struct Meta {
            kind: String,
        }
        let members = self.hub.room(room).members::<Meta>()?;
        Ok(members
            .into_iter()
            .map(|m| (m.user, m.connections, m.meta.map_or("?".into(), |m| m.kind)))
            .collect())
    }

    #[event("frames")]
    fn frames(&self, conn: Conn) -> Result<u64> {
        let room = self.hub.room("all");
        room.join(&conn, &())?;
        room.send(Message::new("frame").arg(&"meta").binary(&b"\x00\xff"[..]).latest("k"))?;
        room.send(Message::new("frame").arg(&"not for you").except(&conn).volatile())?;
        room.count()
    }

    #[event("touch")]
    fn touch(&self, Payload(room): Payload<String>) -> Result<()> {
        assert!(self.hub.room(&*room).refresh("no such state").is_err());
        self.hub.room(room).refresh("list")
    }

    #[state("list", window = "100ms")]
    async fn list(&self, room: Room) -> Result<()> {
        room.emit("list", &room.count()?)
    }

    #[leave]
    async fn gone(&self, RoomName(room): RoomName, member: Member) -> Result<()> {
        let kind: BTreeMap<String, String> = member.meta_as()?;
        self.hub.out(&room, "left", &json!({ "user": member.user, "kind": kind["kind"] }))
    }

    #[disconnect]
    async fn bye(&self, conn: Conn, reason: Reason) {
        let _stopping =
            self.hub.out("all", "bye", &json!({ "id": conn.public_id(), "reason": reason.as_str() }));
    }

    #[every(|settings| settings.tick.0)]
    async fn tick(&self) -> Result<()> {
        let tick = self.ticks.fetch_add(1, Ordering::SeqCst) + 1;
        self.level.set(tick as f64);
        self.took.observe(Duration::from_millis(20));
        self.hub.room("all").emit("tick", &tick)
    }

    /// Makes a thing.
    #[http(POST, "/things/{id}", auth = "required", body_limit = 64)]
    async fn make(&self, me: User, Path(id): Path<u32>, Json(say): Json<Say>) -> Result<Created<Value>> {
        self.hub.kv().create(&format!("thing/{id}"), &say).await?;
        Ok(Created(json!({ "id": id, "by": me.user_id })))
    }

    #[http(
        GET,
        "/things/{id}",
        errors = [404, 410 "THING_ENDED"],
        headers = [optional("If-None-Match", "What is known."), required("X-Say", "A word.", json Say)]
    )]
    async fn read(&self, Path(id): Path<String>, kv: Kv) -> Result<WithHeader<Json<Say>>> {
        let found = kv.get::<Say>(&format!("thing/{id}")).await?;
        let found = found.ok_or_else(|| Error::not_found("no such thing"))?;
        Ok(WithHeader::new("ETag", found.revision.to_string(), Json(found.value)))
    }

    #[http(GET, "/things")]
    async fn all(&self, Query(query): Query<Paging>, request: Request, kv: Kv) -> Result<Json<Vec<String>>> {
        assert_eq!(request.header("X-Test"), Some("1"));
        let entries = kv.list::<Say>("thing/", query.after.as_deref(), query.limit.unwrap_or(10)).await?;
        Ok(Json(entries.into_iter().map(|entry| entry.key).collect()))
    }

    #[http(DELETE, "/things/{id}")]
    async fn remove(&self, Path((id,)): Path<(String,)>, kv: Kv) -> Result<NoContent> {
        kv.remove(&format!("thing/{id}")).await?;
        Ok(NoContent)
    }

    #[http(GET, "/picture", status = [203, 200], response_type = "image/png", deprecated = true)]
    fn picture(&self) -> Result<Reply> {
        Ok(Reply::status(203).header("Vary", "a").header("vary", "b").body(&b"\x89PNG"[..]))
    }

    #[inject("phase")]
    async fn phase(&self, RoomName(room): RoomName, Json(say): Json<Say>) -> Result<()> {
        self.hub.room(room).emit("phase", &say)
    }

    #[inject("*", body_type = "text/plain", headers = [required("Content-Type", "What it is.")])]
    async fn raw(&self, name: EventName, headers: Headers, body: Bytes) -> Result<()> {
        let kind = headers.get("Content-Type").unwrap_or("none");
        self.hub.out("all", &name, &json!({ "kind": kind, "bytes": body.len() }))
    }

    #[rpc("sum")]
    async fn sum(&self, Json(numbers): Json<Vec<i64>>) -> Result<i64> {
        if numbers.is_empty() {
            return Err(Error::invalid("nothing to add").with_code("EMPTY"));
        }
        Ok(numbers.into_iter().sum())
    }

    #[rpc("add")]
    async fn add(&self, Json(n): Json<u64>) -> Result<u64> {
        self.hub.kv().modify("sum", |sum: Option<u64>| Ok(sum.unwrap_or(0) + n)).await
    }

    #[rpc("forward")]
    async fn forward(&self, Json(payload): Json<Value>) -> Result<Value> {
        self.hub.ask("elsewhere", "double", &payload, Duration::from_secs(1)).await
    }

    #[reject]
    fn reject(&self, event: &str, error: &Error) -> Option<Value> {
        (event == "say").then(|| json!({ "success": false, "error": error.message }))
    }
}

#[derive(Deserialize, JsonSchema)]
struct Paging {
    after: Option<String>,
    limit: Option<u32>,
}

exedra_sdk::export!(Sample);
