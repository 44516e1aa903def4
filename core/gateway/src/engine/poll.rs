//! The two requests of a polling session: GET waits for packets, POST brings them.

use std::{future::poll_fn, sync::Arc, time::Duration};

use axum::{body::Body, response::Response};
use exedra_hub::{CloseReason, Frame};
use exedra_wire::{
    engineio::{Kind, Packet, Writer, packets},
    http_encoding::Encoding,
};
use http::{HeaderValue, Method, Request, StatusCode, header};
use hyper::body::Incoming;

use super::{
    Answer, Bad, EngineIo,
    requests::Post,
    session::{Ending, Polled, Session},
};
use crate::{
    owner::Flow,
    request::{read_body, values},
};

/// A poll that begins while a WebSocket is probing is answered after this, unless the move is finished by then.
const PROBED: Duration = Duration::from_millis(50);

impl EngineIo {
    /// Answers a request of a session.
    pub(super) async fn polled(&self, session: Arc<Session>, request: Request<Incoming>) -> Answer {
        match *request.method() {
            Method::GET => {
                let accepted = Encoding::accepted(values(request.headers(), header::ACCEPT_ENCODING));
                self.get(session, accepted).await
            }
            Method::POST => self.post(session, request).await,
            _ => Err(Bad::Request.into()),
        }
    }

    async fn get(&self, session: Arc<Session>, accepted: Option<Encoding>) -> Answer {
        let poll = session.begin_poll().ok_or(Bad::Session)?;
        if session.is_probed() {
            tokio::time::sleep(PROBED).await;
            if session.is_over() {
                poll.answered();
                return Err(Bad::Session.into());
            }
        }
        let polled = poll_fn(|cx| session.poll_answer(cx)).await;
        poll.answered();
        let body = match polled {
            Polled::Noop => vec![Kind::Noop.as_char() as u8],
            Polled::Close => vec![Kind::Close.as_char() as u8],
            Polled::Frames(frames, closed) => {
                if closed {
                    session.end(Ending::Closed, session.outbox.closed().unwrap_or(CloseReason::Internal));
                }
                payload(&frames, closed)
            }
        };
        let worth_it = self.rules.compress_from.is_some_and(|from| body.len() >= from);
        let encoded = accepted.filter(|_| worth_it).and_then(|e| Some((e.encode(&body)?, e)));
        let mut response = match encoded {
            Some((encoded, encoding)) => {
                (self.rules.sent)(encoded.len());
                text(encoded, Some(encoding))
            }
            None => {
                (self.rules.sent)(body.len());
                text(body, None)
            }
        };
        if worth_it {
            response.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
        }
        Ok(response)
    }

    async fn post(&self, session: Arc<Session>, request: Request<Incoming>) -> Answer {
        let mut post = session.begin_post().ok_or(Bad::Session)?;
        let binary =
            request.headers().get(header::CONTENT_TYPE).is_some_and(|t| t == "application/octet-stream");
        let encoded = request.headers().get(header::CONTENT_ENCODING).is_some_and(|e| e != "identity");
        let read = if binary {
            Err(StatusCode::BAD_REQUEST)
        } else if encoded {
            Err(StatusCode::UNSUPPORTED_MEDIA_TYPE)
        } else {
            read_body(request.into_body(), self.rules.max_payload).await.map_err(|trouble| trouble.status())
        };
        let body = match read {
            Ok(body) => body,
            Err(status) => {
                let reason = match status {
                    StatusCode::PAYLOAD_TOO_LARGE => CloseReason::TooLarge,
                    _ => CloseReason::ProtocolError,
                };
                post.done(Some((Ending::Closed, reason)));
                return Err(Bad::Request.with_status(status).into());
            }
        };
        (self.rules.received)(body.len());
        post.alive();
        match deliver(&mut post, &body).await {
            Ok(()) => post.done(None),
            Err(CloseReason::ClientLeft) => post.done(Some((Ending::Left, CloseReason::ClientLeft))),
            Err(reason) => {
                post.done(Some((Ending::Closed, reason)));
                return Err(Bad::Request.into());
            }
        }
        Ok(text(b"ok".to_vec(), None))
    }
}

/// Reads a body's packets to the owner, waiting whenever it is full.
async fn deliver(post: &mut Post, body: &[u8]) -> Result<(), CloseReason> {
    let body = std::str::from_utf8(body).map_err(|_| CloseReason::ProtocolError)?;
    for packet in packets(body) {
        let packet = packet.map_err(|_| CloseReason::ProtocolError)?;
        let owner = post.owner().ok_or(CloseReason::Internal)?;
        let flow = match packet {
            Packet::Text(Kind::Message, content) => owner.text(content.to_owned())?,
            Packet::Binary(data) => owner.binary(data)?,
            Packet::Text(Kind::Pong | Kind::Noop, _) => Flow::More,
            Packet::Text(Kind::Close, _) => return Err(CloseReason::ClientLeft),
            Packet::Text(..) => return Err(CloseReason::ProtocolError),
        };
        if flow == Flow::Full {
            poll_fn(|cx| owner.poll_room(cx)).await?;
        }
    }
    Ok(())
}

/// Frames as one polling body.
fn payload(frames: &[Frame], closed: bool) -> Vec<u8> {
    let mut writer = Writer::default();
    for part in frames.iter().flat_map(Frame::parts) {
        let payload = &part.wire[part.header as usize..];
        if part.binary {
            writer.binary(payload);
        } else {
            writer.text(payload);
        }
    }
    if closed || writer.is_empty() {
        let end = if closed { Kind::Close } else { Kind::Noop };
        writer.text(&[end.as_char() as u8]);
    }
    writer.finish()
}

/// A body as clients of polling expect it; with an encoding, it is in that form already.
pub(super) fn text(body: Vec<u8>, encoding: Option<Encoding>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding.name()));
    }
    response
}
