//! Which nodes there are, as the ledger tells it, and which of them have fallen silent.
//!
//! Silence is measured in our own heartbeats, as they come back from the ledger, not in time: while the ledger stands
//! still nobody falls silent, and a node that was frozen itself does not wake up to judge the others.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    NodeId,
    ledger::{Entry, Word},
};

/// Heartbeats in a lease; a node that says nothing for [`SILENT`] of them is taken for dead, well within the lease.
pub const BEATS: u32 = 6;
/// See [`BEATS`].
const SILENT: u64 = 4;

/// All nodes but ourselves.
#[derive(Debug)]
pub struct Nodes {
    me: NodeId,
    /// The newest of our heartbeats that the ledger has given back.
    beat: u64,
    /// Our own entries up to this one have been read.
    own: u64,
    /// Our newest entry, by the ledger's count.
    own_heard: u64,
    /// The plugins whose injected events we may take, as the ledger has it; `None` before we have said so.
    takes: Option<Vec<Arc<str>>>,
    others: BTreeMap<NodeId, Node>,
}

#[derive(Debug)]
struct Node {
    name: Arc<str>,
    /// Its newest entry, by its own count: an entry that comes twice is old.
    number: u64,
    /// Its newest entry, by the ledger's count.
    heard: u64,
    /// Our heartbeat when it spoke last.
    beat: u64,
    /// Whether its state is known; until then its changes cannot be applied.
    known: bool,
    /// Parts of its state that have come, next to each other.
    parts: u32,
    /// The plugins whose injected events it may take; `None` for all.
    takes: Option<Vec<Arc<str>>>,
}

/// What to do with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Do as it says.
    Apply,
    /// Pass over it.
    Skip,
}

impl Nodes {
    /// Nobody but us.
    pub fn new(me: NodeId) -> Self {
        Self { me, beat: 0, own: 0, own_heard: 0, takes: None, others: BTreeMap::new() }
    }

    /// Takes note of an entry; says whether it counts.
    pub fn hear(&mut self, at: u64, entry: &Entry) -> Verdict {
        if entry.node == self.me {
            if entry.number <= self.own {
                return Verdict::Skip;
            }
            (self.own, self.own_heard) = (entry.number, at);
            self.beat = self.beat.max(entry.beat);
            self.takes.clone_from(&entry.takes);
            return Verdict::Apply;
        }
        let (beat, name) = (self.beat, &entry.name);
        let node = self.others.entry(entry.node).or_insert_with(|| Node {
            name: name.clone(),
            number: 0,
            heard: at,
            beat,
            known: false,
            parts: 0,
            takes: None,
        });
        if entry.number <= node.number {
            return Verdict::Skip;
        }
        (node.number, node.heard, node.beat) = (entry.number, at, beat);
        node.takes.clone_from(&entry.takes);
        match &entry.word {
            Word::State { part, of, .. } => {
                if *part != 0 && *part != node.parts {
                    (node.known, node.parts) = (false, 0);
                    return Verdict::Skip; // a part is missing: it will be asked again
                }
                node.parts = part + 1;
                node.known = node.parts == *of;
                Verdict::Apply
            }
            Word::Changes(_) if !node.known => Verdict::Skip,
            Word::Bye => {
                self.others.remove(&entry.node);
                Verdict::Apply
            }
            _ => Verdict::Apply,
        }
    }

    /// Another node is said to be dead, of which entry `heard` was the last known; `false` when it has spoken since, or
    /// is not there.
    pub fn bury(&mut self, node: NodeId, heard: u64) -> bool {
        match self.others.get(&node) {
            Some(known) if known.heard <= heard => {
                self.others.remove(&node);
                true
            }
            _ => false,
        }
    }

    /// Those that have been silent for too long, and the last entry that was heard of each.
    pub fn silent(&self) -> Vec<(NodeId, u64)> {
        let silent = |node: &Node| self.beat.saturating_sub(node.beat) >= SILENT;
        self.others.iter().filter(|(_, node)| silent(node)).map(|(id, node)| (*id, node.heard)).collect()
    }

    /// Entries have been missed: everybody has to say anew what it holds, and has the time for it.
    pub fn lose(&mut self) {
        for node in self.others.values_mut() {
            (node.known, node.parts, node.beat, node.heard) = (false, 0, self.beat, 0);
        }
        self.own_heard = 0;
    }

    /// Our own newest entry, by the ledger's count.
    pub fn own_heard(&self) -> u64 {
        self.own_heard
    }

    /// Our own newest heartbeat that has come back.
    pub fn beat(&self) -> u64 {
        self.beat
    }

    /// Whether the state of every node that has been heard of is known.
    pub fn all_known(&self) -> bool {
        self.others.values().all(|node| node.known)
    }

    /// Who is there, by name, and whether its state is known.
    pub fn list(&self) -> Vec<(NodeId, Arc<str>, bool)> {
        self.others.iter().map(|(id, node)| (*id, node.name.clone(), node.known)).collect()
    }

    /// The one node of all, us too, that looks after a thing: the same everywhere, and spread over the nodes.
    pub fn owner(&self, thing: &str) -> NodeId {
        self.first(thing, |_| true).unwrap_or(self.me)
    }

    /// The same of those that may take a plugin's injected events; `None` when nobody may.
    pub fn taker(&self, plugin: &str) -> Option<NodeId> {
        let may = |takes: &Option<Vec<Arc<str>>>| {
            takes.as_ref().is_none_or(|takes| takes.iter().any(|one| **one == *plugin))
        };
        self.first(&format!("in/{plugin}"), may)
    }

    fn first(&self, thing: &str, may: impl Fn(&Option<Vec<Arc<str>>>) -> bool) -> Option<NodeId> {
        let others = self.others.iter().filter(|(_, node)| node.known && may(&node.takes)).map(|(id, _)| *id);
        others.chain(may(&self.takes).then_some(self.me)).max_by_key(|node| (mixed(thing, *node), *node))
    }
}

/// A number that any change of thing or node turns over: FNV-1a and a last stir, the same in every version.
fn mixed(thing: &str, node: NodeId) -> u64 {
    let bytes = thing.bytes().chain(node.0.to_le_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let stirred = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    stirred ^ (stirred >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: NodeId = NodeId(1);
    const OTHER: NodeId = NodeId(2);

    fn entry(node: NodeId, number: u64, beat: u64, word: Word) -> Entry {
        Entry { node, name: "n".into(), number, beat, takes: None, word }
    }

    fn state(part: u32, of: u32) -> Word {
        Word::State { part, of, holds: Vec::new() }
    }

    fn nothing() -> Word {
        Word::Changes(Vec::new())
    }

    #[test]
    fn changes_count_once_the_state_is_known() {
        let mut nodes = Nodes::new(ME);
        assert_eq!(nodes.hear(1, &entry(OTHER, 1, 1, nothing())), Verdict::Skip);
        assert_eq!(nodes.hear(2, &entry(OTHER, 2, 1, state(0, 2))), Verdict::Apply);
        assert_eq!(nodes.hear(3, &entry(OTHER, 3, 1, nothing())), Verdict::Skip);
        assert_eq!(nodes.hear(4, &entry(OTHER, 4, 1, state(1, 2))), Verdict::Apply);
        assert_eq!(nodes.hear(5, &entry(OTHER, 5, 1, nothing())), Verdict::Apply);
        assert_eq!(nodes.hear(6, &entry(OTHER, 5, 1, nothing())), Verdict::Skip, "it came twice");
    }

    #[test]
    fn silence_is_measured_in_our_beats() {
        let mut nodes = Nodes::new(ME);
        nodes.hear(1, &entry(OTHER, 1, 1, state(0, 1)));
        for beat in 1..4 {
            nodes.hear(1 + beat, &entry(ME, beat, beat, nothing()));
            assert!(nodes.silent().is_empty());
        }
        nodes.hear(9, &entry(ME, 4, 4, nothing()));
        assert_eq!(nodes.silent(), [(OTHER, 1)]);
        nodes.hear(10, &entry(OTHER, 2, 2, nothing()));
        assert!(nodes.silent().is_empty());
    }

    #[test]
    fn sign_of_life_refutes_a_death() {
        let mut nodes = Nodes::new(ME);
        nodes.hear(1, &entry(OTHER, 1, 1, state(0, 1)));
        nodes.hear(2, &entry(OTHER, 2, 2, nothing()));
        assert!(!nodes.bury(OTHER, 1));
        assert!(nodes.bury(OTHER, 2));
        assert!(!nodes.bury(OTHER, 2), "one death is enough");
    }

    #[test]
    fn missing_part_makes_a_state_unknown() {
        let mut nodes = Nodes::new(ME);
        nodes.hear(1, &entry(OTHER, 1, 1, state(0, 3)));
        assert_eq!(nodes.hear(2, &entry(OTHER, 2, 1, state(2, 3))), Verdict::Skip);
        assert!(!nodes.all_known());
    }

    #[test]
    fn owner_is_the_same_for_all() {
        let (mut one, mut two) = (Nodes::new(ME), Nodes::new(OTHER));
        one.hear(1, &entry(OTHER, 1, 1, state(0, 1)));
        two.hear(1, &entry(ME, 1, 1, state(0, 1)));
        let things: Vec<String> = (0..50).map(|thing| thing.to_string()).collect();
        let owners: Vec<NodeId> = things.iter().map(|thing| one.owner(thing)).collect();
        assert!(things.iter().zip(&owners).all(|(thing, owner)| two.owner(thing) == *owner));
        assert!(owners.contains(&ME) && owners.contains(&OTHER));
    }

    #[test]
    fn events_are_taken_by_a_node_that_may() {
        let mut nodes = Nodes::new(ME);
        let says = |node, number, takes: &[&str]| {
            let takes = Some(takes.iter().map(|name| (*name).into()).collect());
            Entry { takes, ..entry(node, number, 1, state(0, 1)) }
        };
        nodes.hear(1, &entry(OTHER, 1, 1, state(0, 1)));
        nodes.hear(2, &says(ME, 1, &[]));
        assert_eq!(nodes.taker("p"), Some(OTHER), "an older node does not say");
        nodes.hear(3, &says(OTHER, 2, &["q"]));
        assert_eq!((nodes.taker("p"), nodes.taker("q")), (None, Some(OTHER)));
        nodes.hear(4, &says(ME, 2, &["p"]));
        assert_eq!((nodes.taker("p"), nodes.taker("q")), (Some(ME), Some(OTHER)));
    }

    #[test]
    fn taker_is_whom_an_older_node_thinks_it_is() {
        let mut nodes = Nodes::new(ME);
        nodes.hear(1, &entry(OTHER, 1, 1, state(0, 1)));
        for plugin in (0..50).map(|plugin| plugin.to_string()) {
            assert_eq!(nodes.taker(&plugin), Some(nodes.owner(&format!("in/{plugin}"))));
        }
    }
}
