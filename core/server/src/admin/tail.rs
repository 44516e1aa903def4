//! Events as they pass, as Server-Sent Events. Read with a request that has the token in its header, never with one
//! that has it in the address.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use exedra_hub::hub::{Filter, Told, Way};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::json;

use super::{Admin, Refused, views::asked};

/// A sign of life, so that watchers that have gone are noticed.
const ALIVE: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    plugin: Option<String>,
    room: Option<String>,
    event: Option<String>,
    way: Option<String>,
}

/// Streams `seen` events, and `missed` ones where the watcher did not keep up.
pub(super) async fn tail(
    State(admin): State<Arc<Admin>>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Refused> {
    let asked = asked(query)?;
    let given = |part: Option<String>| part.filter(|part| !part.is_empty());
    let way = match given(asked.way) {
        None => None,
        Some(label) => Some(Way::ALL.into_iter().find(|way| way.label() == label).ok_or_else(|| {
            let ways = Way::ALL.map(Way::label).join(", ");
            Refused::new(StatusCode::BAD_REQUEST, format!("way is one of {ways}"))
        })?),
    };
    let filter =
        Filter { plugin: given(asked.plugin), room: given(asked.room), event: given(asked.event), way };
    let tail = admin.hub.watch(filter);
    let tail = tail.ok_or_else(|| Refused::new(StatusCode::TOO_MANY_REQUESTS, "too many watch already"))?;
    let opening = futures_util::stream::iter([Event::default().event("open").data("{}")]);
    let events = opening.chain(tail.map(shown)).map(Ok::<_, Infallible>);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE)).into_response())
}

fn shown(told: Told) -> Event {
    match told {
        Told::Event(seen) => Event::default().event("seen").data(json!(*seen).to_string()),
        Told::Missed(missed) => Event::default().event("missed").data(missed.to_string()),
    }
}
