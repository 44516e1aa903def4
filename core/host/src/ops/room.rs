//! `exedra.room/1`: the plugin's rooms.

use std::time::Duration;

use exedra_abi::{Conn, Done, Host, Message, OpId, RawResult, RoomExt, Slice, Status};
use exedra_hub::{
    ConnId, Refusal,
    hub::{Claimant, Joined, Left},
};

use super::{NAME, done, guarded, json, message, name, pending, scope_of, status_of, text};
use crate::{
    answer::{self, Answer},
    reach,
};

pub(super) static TABLE: RoomExt = RoomExt {
    struct_size: size_of::<RoomExt>() as u32,
    reserved: 0,
    broadcast: Some(broadcast),
    join: Some(join),
    leave: Some(leave),
    join_user: Some(join_user),
    leave_user: Some(leave_user),
    members: Some(members),
    count: Some(count),
    refresh: Some(refresh),
    join_as: Some(join_as),
    claim: Some(claim),
};

unsafe extern "C" fn broadcast(
    host: *const Host,
    room: Slice,
    event: *const Message,
    except: Conn,
) -> Status {
    // SAFETY: the plugin passes its table and lends name and message for the call.
    unsafe {
        guarded(host, "room.broadcast", |instance| {
            let room = name(room)?;
            let (message, class) = message(event, || scope_of(instance.id, room))?;
            instance.declared.emit(&message.event);
            let except = (except != 0).then_some(ConnId(except));
            done(instance.hub.broadcast(instance.id, room, message, (class, reach::now()), except))
        })
    }
}

unsafe extern "C" fn join(
    host: *const Host,
    conn: Conn,
    room: Slice,
    meta: Slice,
    max_members: u64,
    out: *mut RawResult,
) -> Status {
    // SAFETY: as above, and `out` is the plugin's memory for the result.
    unsafe {
        guarded(host, "room.join", |instance| {
            writable(out)?;
            let (room, meta) = (name(room)?, json(meta)?);
            let joined = instance.hub.join(instance.id, ConnId(conn), room, meta, bound(max_members));
            answer::fill(out, joined_answer(joined)?)
        })
    }
}

unsafe extern "C" fn leave(host: *const Host, conn: Conn, room: Slice, out: *mut RawResult) -> Status {
    // SAFETY: as above.
    unsafe {
        guarded(host, "room.leave", |instance| {
            writable(out)?;
            let left = instance.hub.leave(instance.id, ConnId(conn), name(room)?);
            answer::fill(out, left_answer(left)?)
        })
    }
}

unsafe extern "C" fn join_user(
    host: *const Host,
    room: Slice,
    user: Slice,
    meta: Slice,
    ttl_ms: u64,
    max_members: u64,
    out: *mut RawResult,
) -> Status {
    // SAFETY: as above.
    unsafe {
        guarded(host, "room.join_user", |instance| {
            writable(out)?;
            let (room, user, meta) = (name(room)?, name(user)?, json(meta)?);
            let (ttl, most) = (Duration::from_millis(ttl_ms), bound(max_members));
            let joined = instance.hub.join_user(instance.id, room, user, meta, ttl, most);
            answer::fill(out, joined_answer(joined)?)
        })
    }
}

unsafe extern "C" fn leave_user(host: *const Host, room: Slice, user: Slice, out: *mut RawResult) -> Status {
    // SAFETY: as above.
    unsafe {
        guarded(host, "room.leave_user", |instance| {
            writable(out)?;
            let left = instance.hub.leave_user(instance.id, name(room)?, name(user)?);
            answer::fill(out, left_answer(left)?)
        })
    }
}

unsafe extern "C" fn members(host: *const Host, room: Slice, out: *mut RawResult) -> Status {
    // SAFETY: as above.
    unsafe {
        guarded(host, "room.members", |instance| {
            let members = instance.hub.members(instance.id, name(room)?);
            let payload = serde_json::to_vec(&members).map_err(|_| Status::INTERNAL)?;
            answer::fill(out, Answer::payload(payload))
        })
    }
}

unsafe extern "C" fn count(host: *const Host, room: Slice, out: *mut RawResult) -> Status {
    // SAFETY: as above.
    unsafe {
        guarded(host, "room.count", |instance| {
            let members = instance.hub.count(instance.id, name(room)?);
            answer::fill(out, Answer::code(members))
        })
    }
}

unsafe extern "C" fn refresh(host: *const Host, state: u32, room: Slice) -> Status {
    // SAFETY: as above.
    unsafe {
        guarded(host, "room.refresh", |instance| done(instance.hub.refresh(instance.id, state, name(room)?)))
    }
}

unsafe extern "C" fn join_as(
    host: *const Host,
    conn: Conn,
    room: Slice,
    user: Slice,
    meta: Slice,
    max_members: u64,
    out: *mut RawResult,
) -> Status {
    // SAFETY: as above.
    unsafe {
        guarded(host, "room.join_as", |instance| {
            writable(out)?;
            let (room, user, meta) = (name(room)?, name(user)?, json(meta)?);
            let (conn, most) = (ConnId(conn), bound(max_members));
            let joined = instance.hub.join_as(instance.id, conn, room, user, meta, most);
            answer::fill(out, joined_answer(joined)?)
        })
    }
}

unsafe extern "C" fn claim(
    host: *const Host,
    conn: Conn,
    room: Slice,
    user: Slice,
    meta: Slice,
    ttl_ms: u64,
    max_members: u64,
    out: *mut RawResult,
    done: Done,
    op: *mut OpId,
) -> Status {
    // SAFETY: the plugin passes its table, lends the names, and gives memory for results.
    unsafe {
        guarded(host, "room.claim", |instance| {
            let (room, user, meta) = (name(room)?, text(user, NAME)?, json(meta)?);
            let own = (!user.is_empty()).then(|| user.to_owned());
            let who = match (conn, own) {
                (0, None) => return Err(Status::INVALID),
                (0, Some(user)) => Claimant::User(user, Duration::from_millis(ttl_ms)),
                (conn, own) => Claimant::Connection(ConnId(conn), own),
            };
            let claim = instance.hub.claim(instance.id, room, who, meta, bound(max_members));
            let work = Box::pin(async move { Ok(joined_answer(claim.await)?) });
            pending::now_or_later(instance, work, out, done, op)
        })
    }
}

/// Nothing is changed for a plugin that cannot take the answer.
fn writable(out: *mut RawResult) -> Result<(), Status> {
    if out.is_null() || !out.is_aligned() { Err(Status::INVALID) } else { Ok(()) }
}

fn bound(max_members: u64) -> Option<u64> {
    (max_members > 0).then_some(max_members)
}

fn joined_answer(joined: Result<Joined, Refusal>) -> Result<Answer, Status> {
    let Joined { first, members, .. } = joined.map_err(|refusal| status_of(&refusal))?;
    Ok(Answer::payload(format!(r#"{{"first":{first},"members":{members}}}"#)))
}

fn left_answer(left: Result<Left, Refusal>) -> Result<Answer, Status> {
    let Left { last, members, .. } = left.map_err(|refusal| status_of(&refusal))?;
    Ok(Answer::payload(format!(r#"{{"last":{last},"members":{members}}}"#)))
}
