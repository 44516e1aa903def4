//! Whether a server and a bucket are fit to be the store: plain rules on what they say of themselves.

use std::time::Duration;

use async_nats::jetstream::stream::{
    Config, DiscardPolicy, Info, PersistenceMode, RetentionPolicy, StorageType,
};

use super::names::Names;
use crate::MAX_VALUE;

/// The oldest servers that will do.
const OLDEST: (u32, u32) = (2, 10);
/// How long the server remembers the ids of writes: longer than any attempt takes.
const MEMORY: Duration = Duration::from_secs(30);
/// What a message is longer than its value by, at the most: the id and the condition.
const HEADERS: usize = 512;
/// Under this name the bucket says whose it is.
const OWNER: &str = "exedra-prefix";

/// The stream of a new bucket. It is laid out as NATS KV lays out its buckets, so that NATS' tools can read it.
pub(super) fn layout(stream: &str, names: &Names, prefix: &str, replicas: usize) -> Config {
    Config {
        name: stream.to_owned(),
        description: Some("What the plugins of Exedra keep".to_owned()),
        subjects: vec![names.all()],
        max_messages_per_subject: 1,
        max_messages: -1,
        max_bytes: -1,
        max_message_size: -1,
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        num_replicas: replicas,
        duplicate_window: MEMORY,
        allow_rollup: true,
        allow_direct: false,
        metadata: [(OWNER.to_owned(), prefix.to_owned())].into(),
        ..Config::default()
    }
}

/// Why a server is too old.
pub(super) fn too_old(version: &str) -> Option<String> {
    let mut numbers = version.split(['.', '-']).map(|number| number.parse().unwrap_or(0));
    let found: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let (major, minor) = OLDEST;
    (found < OLDEST).then(|| {
        let version: String = version.chars().filter(|c| c.is_ascii_graphic()).take(32).collect();
        format!("nats-server {version} is too old for the store; it needs {major}.{minor} or newer")
    })
}

/// Why a bucket that is there cannot be used: it would lose what is written, or it is another hub's.
pub(super) fn unfit(config: &Config, names: &Names, prefix: &str) -> Option<String> {
    let because = |why: &str| Some(format!("the bucket {} {why}", config.name));
    let bounded = config.max_messages > 0 || config.max_bytes > 0;
    if config.metadata.get(OWNER).is_some_and(|owner| owner != prefix) {
        return because("belongs to a hub with another nats.prefix");
    }
    if config.subjects != [names.all()] {
        return because("takes other subjects than a KV bucket of its name");
    }
    if config.storage != StorageType::File {
        return because("is kept in memory: a restart of NATS would empty it");
    }
    if !config.max_age.is_zero() {
        return because("has a max_age: values would vanish");
    }
    if config.retention != RetentionPolicy::Limits || (bounded && config.discard == DiscardPolicy::Old) {
        return because("throws the oldest values away when it is full");
    }
    if config.persist_mode == Some(PersistenceMode::Async) {
        return because("acknowledges before it writes (persist_mode)");
    }
    if config.no_ack || config.sealed || config.mirror.is_some() {
        return because("takes no acknowledged writes");
    }
    if config.duplicate_window < MEMORY {
        return because("forgets the ids of writes too soon (duplicate_window)");
    }
    None
}

/// How many copies there are, whatever the bucket was told.
pub(super) fn copies(info: &Info) -> usize {
    1 + info.cluster.as_ref().map_or(0, |cluster| cluster.replicas.len())
}

/// What an operator should know of a bucket that can be used.
pub(super) fn notes(info: &Info, max_payload: usize) -> Vec<String> {
    let mut notes = Vec::new();
    if max_payload < MAX_VALUE + HEADERS {
        notes.push(format!(
            "values of more than {} bytes are refused: NATS' max_payload is {max_payload}; set it to 2MB",
            max_payload.saturating_sub(HEADERS)
        ));
    }
    if info.config.deny_delete {
        notes.push("the bucket has deny_delete: deleted keys go on taking room".to_owned());
    }
    let copies = info.cluster.iter().flat_map(|cluster| &cluster.replicas);
    let away: Vec<&str> =
        copies.filter(|copy| copy.offline || !copy.current).map(|copy| copy.name.as_str()).collect();
    if !away.is_empty() {
        notes.push(format!("copies that are away or behind: {}", away.join(", ")));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::new("exedra_store")
    }

    fn fresh() -> Config {
        layout("KV_exedra_store", &names(), "exedra", 1)
    }

    #[test]
    fn own_layout_is_fit() {
        assert_eq!(unfit(&fresh(), &names(), "exedra"), None);
    }

    type Change = fn(&mut Config);

    #[test]
    fn losing_layouts_are_refused() {
        let changes: [(&str, Change); 9] = [
            ("another nats.prefix", |c| drop(c.metadata.insert(OWNER.into(), "other".into()))),
            ("other subjects", |c| c.subjects = vec![">".into()]),
            ("in memory", |c| c.storage = StorageType::Memory),
            ("max_age", |c| c.max_age = Duration::from_secs(60)),
            ("throws", |c| c.retention = RetentionPolicy::WorkQueue),
            ("throws", |c| (c.max_bytes, c.discard) = (1 << 20, DiscardPolicy::Old)),
            ("persist_mode", |c| c.persist_mode = Some(PersistenceMode::Async)),
            ("no acknowledged", |c| c.sealed = true),
            ("duplicate_window", |c| c.duplicate_window = Duration::from_secs(1)),
        ];
        for (why, change) in changes {
            let mut config = fresh();
            change(&mut config);
            let refused = unfit(&config, &names(), "exedra").unwrap_or_default();
            assert!(refused.contains(why), "{why}: {refused}");
        }
    }

    #[test]
    fn old_servers_are_refused() {
        for version in ["2.9.10", "1.4.1", "0.0.0", "", "x", "2"] {
            assert!(too_old(version).is_some(), "{version}");
        }
        for version in ["2.10.0", "2.10.27", "2.15.1", "2.12.0-beta.1", "3.0.0", "10.0.0"] {
            assert_eq!(too_old(version), None, "{version}");
        }
        assert!(!too_old("1.\r\n").unwrap().contains('\n'));
    }
}
