//! A visitor to the bus who is no hub: publishes, asks and listens, as outside services do. For the command line: it
//! waits for the server a moment and gives up, where a hub would go on trying.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use exedra_hub::port::{BusError, Topic};
use futures_util::{StreamExt, stream::select_all};
use tokio::time::timeout;

use super::{Client, Request, RequestErrorKind, Subscriber, header_list, header_map, options, unavailable};
use crate::{NatsConfig, message, subject::Subjects};

/// How long the server may take to be there.
const CONNECT: Duration = Duration::from_secs(5);

/// A connection of its own.
#[derive(Debug)]
pub struct Visitor {
    pub(super) client: Client,
    subjects: Subjects,
}

/// A message that a visitor hears.
#[derive(Debug)]
pub struct Heard {
    /// Its subject.
    pub subject: String,
    /// What the subject means, if it is one of the hub's.
    pub topic: Option<Topic>,
    /// Whether somebody waits for an answer.
    pub wants_reply: bool,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub payload: Bytes,
}

/// What a visitor listens to.
pub struct Ears {
    subjects: Subjects,
    incoming: futures_util::stream::SelectAll<Subscriber>,
}

impl Visitor {
    /// Connects.
    ///
    /// # Errors
    /// [`BusError::Unavailable`] with a sentence: the settings are no good, or the server cannot be reached or does not
    /// let us in.
    pub async fn connect(config: &NatsConfig, name: &str) -> Result<Self, BusError> {
        if let Some(problem) = config.problems().into_iter().next() {
            return Err(BusError::Unavailable(problem));
        }
        let servers = config.servers();
        if servers.is_empty() {
            return Err(BusError::Unavailable("nats.url is not set".to_owned()));
        }
        let subjects = Subjects::new(&config.prefix).map_err(unavailable)?;
        let options = options::for_visitors(config, name).await?;
        let connecting = options.connect(servers);
        let client = timeout(CONNECT, connecting)
            .await
            .map_err(|_| BusError::Unavailable("no answer in time".to_owned()))?
            .map_err(unavailable)?;
        Ok(Self { client, subjects })
    }

    /// The subject of a topic.
    ///
    /// # Errors
    /// As [`Subjects::subject`].
    pub fn subject(&self, topic: &Topic) -> Result<String, BusError> {
        self.subjects.subject(topic)
    }

    /// Publishes, and waits until the server has it.
    ///
    /// # Errors
    /// [`BusError::TooLarge`], or [`BusError::Unavailable`].
    pub async fn publish(
        &self,
        topic: &Topic,
        headers: &[(String, String)],
        payload: Bytes,
    ) -> Result<(), BusError> {
        let subject = self.subject(topic)?;
        let headers = message::fit(headers);
        self.fits(&headers, &payload)?;
        let sent = match header_map(&headers) {
            Some(headers) => self.client.publish_with_headers(subject, headers, payload).await,
            None => self.client.publish(subject, payload).await,
        };
        sent.map_err(unavailable)?;
        self.client.flush().await.map_err(unavailable)
    }

    /// Publishes, and waits for the answer's body.
    ///
    /// # Errors
    /// [`BusError::NoResponders`] when nobody listens, [`BusError::Timeout`] when nobody answers, and as
    /// [`Visitor::publish`].
    pub async fn request(
        &self,
        topic: &Topic,
        headers: &[(String, String)],
        payload: Bytes,
        wait: Duration,
    ) -> Result<Bytes, BusError> {
        let subject = self.subject(topic)?;
        let headers = message::fit(headers);
        self.fits(&headers, &payload)?;
        let mut request = Request::new().payload(payload).timeout(Some(wait));
        if let Some(headers) = header_map(&headers) {
            request = request.headers(headers);
        }
        let answer =
            self.client.send_request(subject, request).await.map_err(|error| match error.kind() {
                RequestErrorKind::TimedOut => BusError::Timeout,
                RequestErrorKind::NoResponders => BusError::NoResponders,
                RequestErrorKind::MaxPayloadExceeded => BusError::TooLarge,
                RequestErrorKind::InvalidSubject | RequestErrorKind::Other => unavailable(error),
            })?;
        Ok(answer.payload)
    }

    /// Listens to subjects by their patterns; ready when the server has taken them all.
    ///
    /// # Errors
    /// [`BusError::Unavailable`].
    pub async fn listen(&self, patterns: &[String]) -> Result<Ears, BusError> {
        let mut subscribers = VecDeque::new();
        for pattern in patterns {
            subscribers.push_back(self.client.subscribe(pattern.clone()).await.map_err(unavailable)?);
        }
        self.client.flush().await.map_err(unavailable)?;
        Ok(Ears { subjects: self.subjects.clone(), incoming: select_all(subscribers) })
    }

    fn fits(&self, headers: &[(String, String)], payload: &[u8]) -> Result<(), BusError> {
        if message::size(headers, payload) > self.client.max_payload() {
            return Err(BusError::TooLarge);
        }
        Ok(())
    }
}

impl Ears {
    /// The next message; none when the connection has ended for good.
    pub async fn next(&mut self) -> Option<Heard> {
        let message = self.incoming.next().await?;
        Some(Heard {
            topic: self.subjects.topic(&message.subject),
            subject: message.subject.to_string(),
            wants_reply: message.reply.is_some(),
            headers: header_list(message.headers.as_ref()),
            payload: message.payload,
        })
    }
}

impl std::fmt::Debug for Ears {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ears")
    }
}
