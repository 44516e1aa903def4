//! Messages on their way in: the task behind one subscription, which turns them into the hub's words, and the
//! headers both ways.

use std::sync::Arc;

use exedra_hub::port::{BusMessage, Topic};
use futures_util::StreamExt;

use super::{HeaderMap, HeaderName, HeaderValue, Message, Subscriber};
use crate::{
    counts::Counts,
    inbox::{Inbox, Offer},
    micro::Services,
    subject::Subjects,
};

/// The task behind one subscription.
pub(super) struct Listening {
    pub(super) inbox: Inbox,
    pub(super) subjects: Subjects,
    pub(super) counts: Arc<Counts>,
    pub(super) services: Arc<Services>,
}

impl Listening {
    pub(super) async fn run(self, mut incoming: Subscriber) {
        loop {
            let message = tokio::select! {
                message = incoming.next() => message,
                () = self.inbox.gone() => return,
            };
            let Some(message) = message else { return };
            self.counts.received(1);
            let Some(message) = self.decoded(message) else { continue };
            if let Topic::Rpc { service, method } = &message.topic {
                self.services.count(service, method);
            }
            if self.inbox.offer(message) == Offer::Gone {
                return;
            }
        }
    }

    /// The message in the hub's words; none when its subject is not in the one form that subjects have.
    fn decoded(&self, message: Message) -> Option<BusMessage> {
        let Some(topic) = self.subjects.topic(&message.subject) else {
            self.inbox.refuse();
            tracing::debug!(subject = %message.subject.escape_debug(), "a message came on an unreadable subject");
            return None;
        };
        let reply = message.reply.filter(|address| self.subjects.is_reply(address));
        Some(BusMessage {
            topic,
            reply: reply.map(|address| Topic::Reply(address.to_string())),
            headers: header_list(message.headers.as_ref()),
            payload: message.payload,
        })
    }
}

/// Headers for the client; those that it cannot carry have been taken out before.
pub(super) fn header_map(headers: &[(String, String)]) -> Option<HeaderMap> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            map.append(name, value);
        }
    }
    (!map.is_empty()).then_some(map)
}

/// By name, since the client keeps no order between names.
pub(super) fn header_list(map: Option<&HeaderMap>) -> Vec<(String, String)> {
    let all = map.into_iter().flat_map(|map| map.iter());
    let mut headers: Vec<(String, String)> = all
        .flat_map(|(name, values)| values.iter().map(|value| (name.to_string(), value.as_str().to_owned())))
        .collect();
    headers.sort_by(|one, other| one.0.cmp(&other.0));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back() {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = vec![header("A", "1"), header("A", "2"), header("b", "")];
        assert_eq!(header_list(header_map(&headers).as_ref()), headers);
        assert!(header_map(&[]).is_none());
    }
}
