//! The operators' side: who is connected and which rooms there are, a page at a time, and the end of a connection.
//! Views are snapshots: each lock is held for one shard, and never while a page is put in order.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
    time::SystemTime,
};

use serde::{Serialize, Serializer};

use super::{Connections, Hub};
use crate::{
    CloseReason, ConnId, Connection,
    page::{Page, Rank, Want},
    port::PluginId,
    rooms::MemberView,
};

/// What connections can be ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConnectionOrder {
    /// Bytes that wait for the link.
    #[default]
    Queue,
    /// Bytes in both directions since it was opened.
    Bytes,
    /// How long it has been open.
    Age,
    /// The user's id.
    User,
}

/// What rooms can be ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RoomOrder {
    /// How many members they have.
    #[default]
    Members,
    /// How many connections are in them.
    Connections,
    /// Their name.
    Name,
}

/// A connection as operators see it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionView {
    /// The handle that it is disconnected by.
    pub id: u64,
    /// The id that its client knows (`socket.id`).
    pub public_id: Arc<str>,
    /// The user's id; none when anonymous.
    pub user: Option<String>,
    /// The user's name.
    pub name: Option<String>,
    /// The namespace or endpoint, as the client asked for it.
    pub namespace: Arc<str>,
    /// `socketio` or `websocket`.
    pub gateway: &'static str,
    /// The client's address.
    pub peer: IpAddr,
    /// When it was opened.
    #[serde(serialize_with = "millis")]
    pub since: SystemTime,
    /// Rooms that it is in.
    pub rooms: usize,
    /// Bytes that wait for its link.
    pub queue: usize,
    /// Bytes handed to its link; connections that share a link have the same number.
    pub sent: u64,
    /// Bytes of its events.
    pub received: u64,
    /// Its events.
    pub events: u32,
}

/// One connection, closer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionDetails {
    /// What the list says of it.
    #[serde(flatten)]
    pub view: ConnectionView,
    /// The user's e-mail address.
    pub email: Option<String>,
    /// The user's roles.
    pub roles: Vec<String>,
    /// When its identity ends.
    #[serde(serialize_with = "maybe_millis")]
    pub expires_at: Option<SystemTime>,
    /// The rooms that it is in: plugin and name.
    pub in_rooms: Vec<(String, Arc<str>)>,
}

/// A room as operators see it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomView {
    /// The plugin that it belongs to.
    pub plugin: String,
    /// Its name.
    pub name: Arc<str>,
    /// Its members.
    pub members: usize,
    /// The connections in it.
    pub connections: usize,
}

impl Hub {
    /// A page of the connections. Searched are user, name, public id, address and namespace.
    pub fn view_connections(&self, order: ConnectionOrder, want: &Want) -> Page<ConnectionView> {
        let all = self.connections.all();
        let matching = all.iter().filter(|c| {
            let facts = c.facts();
            let peer = facts.peer.to_string();
            let identity = facts.identity.as_deref();
            let names = identity.map(|i| [&*i.user_id, i.name.as_deref().unwrap_or_default()]);
            let texts = [&*facts.public_id, &*facts.namespace, &*peer];
            want.matches(texts.into_iter().chain(names.into_iter().flatten()))
        });
        let rows = matching.map(|c| ((rank(c, order), c.id().0), c)).collect();
        want.pick(all.len(), rows, |connection| view(connection))
    }

    /// One connection, while it is open.
    pub fn view_connection(&self, id: ConnId) -> Option<ConnectionDetails> {
        let connection = self.connections.get(id)?;
        let identity = connection.facts().identity.as_deref();
        let state = connection.state.lock();
        let in_rooms =
            state.rooms.iter().map(|place| (self.name_of(place.key.plugin), place.key.name.clone()));
        let in_rooms = in_rooms.collect();
        drop(state);
        Some(ConnectionDetails {
            email: identity.and_then(|i| i.email.clone()),
            roles: identity.map(|i| i.roles.clone()).unwrap_or_default(),
            view: view(&connection),
            expires_at: connection.expires_at(),
            in_rooms,
        })
    }

    /// Ends a connection because an operator wants it; the client is told in its protocol. `false` when there is
    /// no such connection.
    pub fn disconnect_by_operator(self: &Arc<Self>, id: ConnId) -> bool {
        let Ok(connection) = self.connection(id) else { return false };
        tracing::info!(conn = %id, "an operator ends a connection");
        self.close(&connection, CloseReason::Kicked);
        true
    }

    /// A page of the rooms, all or those of one plugin. Searched is the name.
    pub fn view_rooms(&self, order: RoomOrder, plugin: Option<PluginId>, want: &Want) -> Page<RoomView> {
        let all = self.rooms.sizes();
        let ours = all.iter().filter(|size| plugin.is_none_or(|plugin| size.key.plugin == plugin));
        let rows = ours.filter(|size| want.matches([&*size.key.name])).map(|size| {
            let rank = match order {
                RoomOrder::Members => Rank::Number(size.members as u64),
                RoomOrder::Connections => Rank::Number(size.connections as u64),
                RoomOrder::Name => Rank::Text((&*size.key.name).into()),
            };
            ((rank, size.key.name.to_string(), size.key.plugin.0), size)
        });
        let rows = rows.collect();
        want.pick(all.len(), rows, |size| RoomView {
            plugin: self.name_of(size.key.plugin),
            name: size.key.name.clone(),
            members: size.members,
            connections: size.connections,
        })
    }

    /// Members of a room from the `skip`th on, in order of joining.
    pub fn view_members(&self, plugin: PluginId, room: &str, skip: usize, limit: usize) -> Page<MemberView> {
        let all = self.members(plugin, room);
        let total = all.len();
        let limit = limit.clamp(1, crate::page::MAX_ROWS);
        let next = (skip + limit < total).then(|| (skip + limit).to_string());
        Page { total, matched: total, rows: all.into_iter().skip(skip).take(limit).collect(), next }
    }

    /// The number of an enabled plugin.
    pub fn plugin_named(&self, name: &str) -> Option<PluginId> {
        let at = self.slots().iter().position(|slot| slot.manifest.name == name)?;
        u16::try_from(at).ok().map(PluginId)
    }

    /// How many rooms there are.
    pub fn room_count(&self) -> usize {
        self.rooms.len()
    }

    fn name_of(&self, plugin: PluginId) -> String {
        self.slot(plugin).map(|slot| slot.manifest.name.clone()).unwrap_or_default()
    }
}

impl Connections {
    /// Everybody, as it is now.
    pub(super) fn all(&self) -> Vec<Arc<Connection>> {
        let mut all = Vec::new();
        for shard in &self.shards {
            all.extend(shard.lock().values().cloned());
        }
        all
    }

    /// The handle that the next connection gets at the earliest.
    pub(super) fn coming(&self) -> ConnId {
        ConnId(self.next.load(Ordering::Relaxed))
    }
}

fn rank(connection: &Connection, order: ConnectionOrder) -> Rank<'_> {
    match order {
        ConnectionOrder::Queue => Rank::Number(connection.outbox().bytes() as u64),
        ConnectionOrder::Bytes => Rank::Number(connection.outbox().taken() + connection.account.bytes()),
        ConnectionOrder::Age => Rank::Number(u64::MAX - connection.id().0), // numbers are given in order
        ConnectionOrder::User => match &connection.facts().identity {
            Some(identity) => Rank::Text((&*identity.user_id).into()),
            None => Rank::Text("".into()),
        },
    }
}

fn view(connection: &Connection) -> ConnectionView {
    let facts = connection.facts();
    let identity = facts.identity.as_deref();
    ConnectionView {
        id: facts.id.0,
        public_id: facts.public_id.clone(),
        user: identity.map(|i| i.user_id.to_string()),
        name: identity.and_then(|i| i.name.clone()),
        namespace: facts.namespace.clone(),
        gateway: connection.space.gateway,
        peer: facts.peer,
        since: connection.account.since(),
        rooms: connection.state.lock().rooms.len(),
        queue: connection.outbox().bytes(),
        sent: connection.outbox().taken(),
        received: connection.account.bytes(),
        events: connection.account.events(),
    }
}

fn millis<S: Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    to.serialize_u64(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn maybe_millis<S: Serializer>(time: &Option<SystemTime>, to: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => millis(time, to),
        None => to.serialize_none(),
    }
}
