//! The ledger, read: what other nodes say takes effect here, and of what we said ourselves, what the order of all
//! entries has made of it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{Hub, United};
use crate::{
    cluster::{
        NodeId,
        ledger::{Change, Entry, Hold, Word},
        nodes::Verdict,
    },
    rooms::{Lost, RoomKey},
};

impl Hub {
    /// One entry, in its turn.
    pub(super) fn read_entry(self: &Arc<Self>, at: u64, bytes: &Bytes) {
        let Some(united) = self.united.get() else { return };
        let entry = match Entry::decode(bytes) {
            Ok(entry) => entry,
            Err(why) => return tracing::warn!(at, why, "an entry of the ledger cannot be read"),
        };
        let metrics = &self.parts.metrics.cluster;
        if entry.node != united.me {
            metrics.entries_in.inc();
        }
        let mut nodes = united.nodes.lock(); // held to the end: entries take effect one after the other
        let own_last = nodes.own_heard();
        if nodes.hear(at, &entry) == Verdict::Skip {
            return;
        }
        let author = entry.node;
        match entry.word {
            Word::Changes(changes) => {
                changes.into_iter().for_each(|change| self.apply(united, author, change));
            }
            Word::State { part, of, holds } => self.apply_state(united, author, (part, of), &holds),
            Word::Hello if author != united.me => united.desk.ask_for_state(),
            Word::Bye if author != united.me => {
                tracing::info!(node = %author, name = &*entry.name, "a node has left");
                let heir = nodes.owner(&author.to_string()) == united.me;
                self.lose_node(united, author, heir);
            }
            Word::Gone { node, heard } if node == united.me => {
                if own_last <= heard {
                    tracing::warn!(by = %author, "the other nodes have taken this one for dead; it comes back");
                    self.rooms.strike_node(united.me, &Default::default());
                    united.desk.rise_again();
                }
            }
            Word::Gone { node, heard } => {
                if nodes.bury(node, heard) {
                    tracing::warn!(%node, by = %author, "a node is gone");
                    metrics.nodes_lost.inc();
                    self.lose_node(united, node, author == united.me);
                }
            }
            Word::Hello | Word::Bye | Word::Unknown => {}
        }
    }

    /// Entries were missed: everybody is asked anew, and we say anew what is here.
    pub(super) fn lose_ledger(&self) {
        let Some(united) = self.united.get() else { return };
        united.nodes.lock().lose();
        united.desk.ask_for_hello();
        self.note_all_sessions(); // what was kept with the ledger may be gone too
    }

    fn apply(self: &Arc<Self>, united: &United, author: NodeId, change: Change) {
        let is_ours = author == united.me;
        match change {
            Change::Hold(hold) => {
                let Some(key) = self.key_of(&hold.place) else { return };
                self.rooms.write(author, &key, &hold, self.parts.clock.elapsed());
                if is_ours {
                    self.free_if_absent(united, &key, &hold.user); // it has left since, or was taken out
                }
            }
            Change::Reserve { hold, max, ask } => {
                let Some(key) = self.key_of(&hold.place) else { return };
                let given = self.rooms.reserve(author, &key, &hold, max, self.parts.clock.elapsed());
                if is_ours {
                    self.tell_verdict(united, &key, &hold, ask, given);
                }
            }
            Change::Free { place, user, meta, told } => {
                let Some(key) = self.key_of(&place) else { return };
                let freed = self.rooms.free(author, &key, &user);
                let is_over = freed.was_held && !freed.others && !told;
                if is_ours && is_over && self.rooms.holding(&key, &user).is_none() {
                    self.tell_leave(&key, user, meta);
                }
            }
            Change::Evict { place, user, meta } => {
                let Some(key) = self.key_of(&place) else { return };
                let evicted = self.rooms.evict(&key, &user);
                if !evicted.connections.is_empty() || evicted.lease {
                    self.remove_here(&key, &user, Some(&evicted.connections));
                }
                if is_ours && evicted.was_held {
                    self.tell_leave(&key, user, meta);
                }
            }
            Change::Unlease { place, user } => {
                let Some(key) = self.key_of(&place).filter(|_| !is_ours) else { return };
                let _turn = self.turn();
                if let Some(left) = self.rooms.end_lease(&key, &user) {
                    self.settle_left(&key, left);
                }
            }
            Change::Refresh { place, state } => {
                let key = self.key_of(&place).filter(|key| !is_ours && self.rooms.is_heard(key));
                if let Some(key) = key {
                    let _ = self.refresh_here(key.plugin, state, &key.name); // a state of a newer plugin is none here
                }
            }
            Change::Unknown => {}
        }
    }

    fn tell_verdict(&self, united: &United, key: &RoomKey, hold: &Hold, ask: u64, given: bool) {
        let waiting = united.asks.lock().remove(&ask);
        let told = waiting.is_some_and(|waiting| waiting.send(given).is_ok());
        if given && !told {
            self.free_if_absent(united, key, &hold.user); // nobody waits for it any more
        }
    }

    /// A part of what a node holds; with the last one, what it does not hold is over.
    fn apply_state(self: &Arc<Self>, united: &United, author: NodeId, part: (u32, u32), holds: &[Change]) {
        let mut changed = Vec::new();
        let kept = {
            let mut kept = united.kept.lock();
            if part.0 == 0 {
                kept.remove(&author);
            }
            let set = kept.entry(author).or_default();
            for change in holds {
                let Change::Hold(hold) = change else { continue };
                let Some(key) = self.key_of(&hold.place) else { continue };
                if self.rooms.write(author, &key, hold, self.parts.clock.elapsed()) {
                    changed.push(key.clone());
                }
                set.insert((key, hold.user.clone()));
            }
            if part.0 + 1 == part.1 { kept.remove(&author) } else { None }
        };
        if let Some(kept) = kept {
            changed.extend(self.rooms.strike_node(author, &kept).into_iter().map(|lost| lost.key));
        }
        if author == united.me {
            for change in holds {
                let Change::Hold(hold) = change else { continue };
                if let Some(key) = self.key_of(&hold.place) {
                    self.free_if_absent(united, &key, &hold.user);
                }
            }
        } else {
            self.refresh_rooms(changed);
        }
    }

    /// A node and all that it held are over. `ours` says whether it is this node that tells of it, and that takes over
    /// places without connections.
    fn lose_node(self: &Arc<Self>, united: &United, node: NodeId, ours: bool) {
        united.kept.lock().remove(&node);
        let lost = self.rooms.strike_node(node, &Default::default());
        let mut changed = Vec::with_capacity(lost.len());
        for Lost { key, user, meta, lease, others } in lost {
            if let Some(until) = lease.filter(|_| ours) {
                self.inherit(&key, &user, meta, until);
            } else if ours && !others && self.rooms.holding(&key, &user).is_none() {
                self.tell_leave(&key, user, meta);
            }
            changed.push(key);
        }
        self.refresh_rooms(changed);
    }

    /// Who is present without a connection stays as long as it would have.
    fn inherit(self: &Arc<Self>, key: &RoomKey, user: &Arc<str>, meta: Bytes, until: Duration) {
        let _turn = self.turn();
        let times = (self.parts.clock.now(), until);
        if let Ok(joined) = self.rooms.join_user(key, user, meta, times, None) {
            self.note_joined(key, user, joined);
        }
    }

    /// Who is in these rooms has changed without anybody here asking for their states.
    fn refresh_rooms(self: &Arc<Self>, mut rooms: Vec<RoomKey>) {
        rooms.sort_unstable();
        rooms.dedup();
        for key in rooms.into_iter().filter(|key| self.rooms.is_heard(key)) {
            let states = self.slot(key.plugin).map_or(0, |slot| slot.manifest.states.len());
            for state in 0..states {
                let _ = self.refresh_here(key.plugin, state as u32, &key.name); // both are known to be good
            }
        }
    }
}
