//! Who watches: joining and leaving a project, filters, the list of viewers, and finding the way back after a lost
//! connection.
//!
//! A viewer's connection is in the room `project:{projectId}`, in one room for the events it wants or one for each
//! kind of them, and in a room `watch/{user}/{project}` of which it is a member by its own id. That last one notes
//! what it watches; when the connection is lost the note is kept for a while under the user's name, and the user's
//! next connection takes it up.

use exedra_sdk::{keys::key, prelude::*, time::Timestamp};

use crate::{
    LivePreview, live, refuse,
    viewer::{Filter, JoinProject, LeaveProject, ProjectJoined, ProjectLeft, Viewer, Viewers},
};

const ROOM_PREFIX: &str = "project:";
const WATCH_PREFIX: &str = "watch/";
/// The Socket.IO room of a project.
pub(crate) fn room_of(project: &str) -> String {
    format!("{ROOM_PREFIX}{project}")
}

/// The project of such a room.
pub(crate) fn project_of(room: &str) -> Option<&str> {
    room.strip_prefix(ROOM_PREFIX)
}

fn watch_room(user: &str, project: &str) -> String {
    key(&["watch", user, project])
}

/// Whether a room is one of those.
pub(crate) fn is_watch(room: &str) -> bool {
    room.starts_with(WATCH_PREFIX)
}

fn lost_room(user: &str) -> String {
    key(&["lost", user])
}

/// What is noted of a viewer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Profile {
    user_name: String,
}

/// What a connection watches.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Watch {
    project: String,
    user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<Filter>,
    /// Whether it has been given up on purpose.
    #[serde(default)]
    over: bool,
}

impl LivePreview {
    /// Joins, or says by the contract's codes why not.
    pub(crate) async fn join(&self, conn: &Conn, asked: JoinProject) -> Result<ProjectJoined> {
        let id = asked.project_id;
        if id.is_empty() {
            return Err(refuse::missing_project_id());
        }
        let filter = asked.filter.filter(|filter| !filter.is_null()).map(Filter::read).transpose()?;
        let joined = self.enter(conn, &id, filter).await;
        joined.map_err(|error| if error.own_code.is_some() { error } else { refuse::join_failed(&error) })
    }

    async fn enter(&self, conn: &Conn, id: &str, filter: Option<Filter>) -> Result<ProjectJoined> {
        let project = self.own_project(conn.user(), id).await?;
        project.require_active()?;
        let me = conn.user().ok_or_else(refuse::unauthorized)?;
        self.take_seats(conn, me, id, filter.as_ref()).inspect_err(|_| {
            // Half a seat is none.
            let _ = self.give_seats_up(conn, me, id);
        })?;
        // Whoever was turned out between the look at the project and the join has been missed.
        if !self.project(id).await?.active {
            self.give_seats_up(conn, me, id)?;
            return Err(refuse::project_inactive());
        }
        self.joins.inc();
        exedra_sdk::info!("{} watches project {id}", conn.public_id());
        self.hub.room(room_of(id)).refresh("viewers")?;
        Ok(ProjectJoined { success: true, project_id: id.to_owned(), filter, viewers: self.viewers(id)? })
    }

    fn take_seats(&self, conn: &Conn, me: &User, id: &str, filter: Option<&Filter>) -> Result<()> {
        let user_name = me.name.clone().unwrap_or_else(|| me.user_id.clone());
        self.leave_events(conn, me, id)?;
        self.hub.room(room_of(id)).join(conn, &Profile { user_name })?;
        for room in event_rooms(id, filter) {
            self.hub.room(room).join(conn, &())?;
        }
        let watch =
            Watch { project: id.to_owned(), user: me.user_id.clone(), filter: filter.cloned(), over: false };
        self.hub.room(watch_room(&me.user_id, id)).join_as(conn, conn.public_id(), &watch, 0).map(drop)
    }

    /// Leaves.
    pub(crate) fn leave(&self, conn: &Conn, asked: LeaveProject) -> Result<ProjectLeft> {
        let id = asked.project_id;
        if id.is_empty() {
            return Err(refuse::missing_project_id());
        }
        let me = conn.user().ok_or_else(refuse::unauthorized)?;
        self.give_seats_up(conn, me, &id).map_err(|error| refuse::leave_failed(&error))?;
        exedra_sdk::info!("{} watches project {id} no more", conn.public_id());
        Ok(ProjectLeft { success: true, project_id: id })
    }

    fn give_seats_up(&self, conn: &Conn, me: &User, id: &str) -> Result<()> {
        self.leave_events(conn, me, id)?;
        let room = self.hub.room(watch_room(&me.user_id, id));
        if let Some(watch) = self.watch_of(conn, me, id)? {
            room.join_as(conn, conn.public_id(), &Watch { over: true, ..watch }, 0)?;
            room.leave(conn)?;
        }
        let room = self.hub.room(room_of(id));
        room.leave(conn)?;
        room.refresh("viewers")
    }

    /// Leaves the rooms of events that a connection is in, whatever its filter is.
    fn leave_events(&self, conn: &Conn, me: &User, id: &str) -> Result<()> {
        let Some(watch) = self.watch_of(conn, me, id)? else { return Ok(()) };
        for room in event_rooms(id, watch.filter.as_ref()) {
            match self.hub.room(room).leave(conn) {
                Err(error) if error.code != Code::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn watch_of(&self, conn: &Conn, me: &User, id: &str) -> Result<Option<Watch>> {
        let members = self.hub.room(watch_room(&me.user_id, id)).members::<Watch>()?;
        Ok(members.into_iter().find(|member| member.user == conn.public_id()).and_then(|member| member.meta))
    }

    /// Takes a user out of a project, with all connections.
    pub(crate) fn forget_viewer(&self, user: &str, id: &str) -> Result<()> {
        let watching = self.hub.room(watch_room(user, id));
        let mut rooms = vec![room_of(id), live::all_events(id)];
        for member in watching.members::<Watch>()? {
            if let Some(Watch { filter: Some(filter), .. }) = &member.meta {
                rooms.extend(event_rooms(id, Some(filter)));
            }
            // Nobody must find the way back by this.
            let _gone = watching.leave_user(&member.user);
        }
        for room in rooms {
            match self.hub.room(room).leave_user(user) {
                Err(error) if error.code != Code::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// A connection does not watch any more. If nobody has said so, it is kept for the user's next connection.
    pub(crate) fn lost(&self, member: &Member) -> Result<()> {
        let watch: Watch = member.meta_as()?;
        self.hub.room(room_of(&watch.project)).refresh("viewers")?;
        if watch.over || self.settings.rejoin_window.is_zero() {
            return Ok(());
        }
        let lost = self.hub.room(lost_room(&watch.user));
        let name = format!("{}/{}", member.user, watch.project);
        match lost.join_user_max(&name, &watch, self.settings.rejoin_window.0, MOST_LOST) {
            Err(error) if error.code != Code::Busy => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes up what the user's longest-lost connection has watched.
    pub(crate) async fn find_back(&self, conn: &Conn, me: &User) -> Result<()> {
        let lost = self.hub.room(lost_room(&me.user_id));
        let members = lost.members::<Watch>()?;
        let Some(first) = members.first().and_then(|member| socket_of(&member.user)).map(str::to_owned)
        else {
            return Ok(());
        };
        for member in members.iter().filter(|member| socket_of(&member.user) == Some(&*first)) {
            // Who takes it out has it: another connection may be faster.
            if lost.leave_user(&member.user).is_err() {
                continue;
            }
            let Some(watch) = &member.meta else { continue };
            match self.enter(conn, &watch.project, watch.filter.clone()).await {
                Ok(joined) => conn.emit("project-rejoined", &joined)?,
                Err(error) => exedra_sdk::debug!("not rejoined: {}", error.code_str()),
            }
        }
        Ok(())
    }

    /// Who watches a project.
    pub(crate) fn viewers(&self, id: &str) -> Result<Vec<Viewer>> {
        let members = self.hub.room(room_of(id)).members::<Profile>()?;
        let view = |member: MemberOf<Profile>| Viewer {
            user_name: member.meta.unwrap_or_default().user_name,
            user_id: member.user,
            connections: member.connections,
            joined_at: Timestamp(member.joined_at_ms),
        };
        Ok(members.into_iter().map(view).collect())
    }

    pub(crate) fn viewers_of(&self, id: &str) -> Result<Viewers> {
        let viewers = self.viewers(id)?;
        Ok(Viewers { project_id: id.to_owned(), count: viewers.len(), viewers })
    }
}

/// Lost connections' projects that are kept for a user; of more, nothing is kept.
const MOST_LOST: u64 = 64;

fn socket_of(name: &str) -> Option<&str> {
    Some(name.split_once('/')?.0)
}

fn event_rooms(id: &str, filter: Option<&Filter>) -> Vec<String> {
    match filter {
        None => vec![live::all_events(id)],
        Some(filter) => filter.event_types.iter().map(|kind| live::events_of_kind(id, &kind.0)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_told_apart() {
        assert_eq!(project_of(&room_of("p")), Some("p"));
        assert!(is_watch(&watch_room("ann", "p")) && !is_watch(&lost_room("ann")));
        assert_ne!(live::all_events("p"), live::events_of_kind("p", ""));
        let long = live::events_of_kind(&"p".repeat(32), &"💬".repeat(64));
        assert!(long.len() <= 256 && watch_room(&"💬".repeat(200), &"p".repeat(32)).len() <= 256);
    }
}
