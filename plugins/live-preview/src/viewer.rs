//! The shapes of the wire contract on the side of viewers. Field names and their case are promises.

use exedra_sdk::{prelude::*, time::Timestamp, value::Text};

use crate::refuse;

/// Kinds of events in a filter: each is a room, and a connection may be in so many.
const MOST_KINDS: usize = 16;

/// `join-project`. A token beside it is not looked at: who it is, the connection's own token has proven.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JoinProject {
    /// The project.
    pub project_id: String,
    /// Which events; all, when left out.
    #[serde(default)]
    pub filter: Option<Value>,
}

/// Which events a viewer wants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Filter {
    /// Their kinds, up to 16; of none, only sessions are shown.
    #[schemars(length(max = 16))]
    pub event_types: Vec<Text<64>>,
}

/// `leave-project`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeaveProject {
    /// The project.
    pub project_id: String,
}

/// Somebody who watches.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Viewer {
    /// The user's id.
    pub user_id: String,
    /// The name to show.
    pub user_name: String,
    /// In how many tabs.
    pub connections: u64,
    /// Since when.
    pub joined_at: Timestamp,
}

/// `viewers-updated`, and the answer of `GET /api/projects/{id}/viewers`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Viewers {
    /// The project.
    pub project_id: String,
    /// Who watches it.
    pub viewers: Vec<Viewer>,
    /// How many they are.
    pub count: usize,
}

/// The acknowledgement of `join-project`, and `project-rejoined`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectJoined {
    /// Always true.
    pub success: bool,
    /// The project.
    pub project_id: String,
    /// Which events; null for all.
    pub filter: Option<Filter>,
    /// Who watches it.
    pub viewers: Vec<Viewer>,
}

/// The acknowledgement of `leave-project`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectLeft {
    /// Always true.
    pub success: bool,
    /// The project.
    pub project_id: String,
}

impl Filter {
    /// Reads a filter, and says by its own code what is wrong with it.
    pub(crate) fn read(filter: Value) -> Result<Self> {
        let filter: Self =
            serde_json::from_value(filter).map_err(|error| refuse::invalid_filter(&error.to_string()))?;
        if filter.event_types.len() > MOST_KINDS {
            return Err(refuse::invalid_filter(&format!("up to {MOST_KINDS} kinds of events")));
        }
        Ok(filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_small_and_known() {
        assert!(Filter::read(json!({"eventTypes": ["keydown", "paste"]})).is_ok());
        assert!(Filter::read(json!({"eventTypes": []})).is_ok());
        let many: Vec<_> = (0..17).map(|n| n.to_string()).collect();
        for bad in
            [json!({}), json!([]), json!("keydown"), json!({"eventTypes": many}), json!({"eventTypes": [7]})]
        {
            assert_eq!(Filter::read(bad).unwrap_err().code_str(), "INVALID_FILTER");
        }
    }
}
