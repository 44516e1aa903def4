//! The opening of plain WebSocket endpoints: the plugin is asked before the 101, so a refusal is an HTTP status.

use std::{net::IpAddr, sync::Arc};

use axum::{body::Body, response::Response};
use exedra_hub::{Format, hub::Knock, outbox::Outbox};
use http::Request;
use hyper::body::Incoming;

use crate::{
    front::Front,
    link::{Keep, Opening, Stage},
    listener::Visit,
    plain::PlainClient,
    request::{query, switch_to_websocket, take_token},
    rest,
    socketio::knock_in_time,
};

impl Front {
    /// Answers the WebSocket handshake of an endpoint.
    pub(crate) async fn endpoint(
        &self,
        mut request: Request<Incoming>,
        peer: IpAddr,
        visit: Visit,
    ) -> Response<Body> {
        let compress = self.plain_rules.compress_from.is_some();
        let (response, deflate) = match switch_to_websocket(&request, compress) {
            Ok(switched) => switched,
            Err(refusal) => return *refusal,
        };
        let ticket = match self.door.enter(peer) {
            Ok(ticket) => ticket,
            Err(denied) => return rest::denied(denied),
        };
        let outbox = Arc::new(Outbox::new(self.hub.limits().outbound_buffer));
        let keep = Keep::new(ticket, self.links.register(&outbox));
        let (token, query) = take_token(request.headers(), query(request.uri()));
        let format: Arc<dyn Format> = self.plain_format.clone();
        let knock = Knock {
            gateway: "websocket",
            namespace: request.uri().path().to_owned(),
            token,
            auth: bytes::Bytes::from_static(b"{}"),
            query,
            peer,
            outbox: outbox.clone(),
            format,
            ticket: None,
        };
        let conn = match knock_in_time(&self.hub, knock, self.connect_timeout).await {
            Ok(conn) => conn,
            Err(refusal) => return rest::refuse(&refusal),
        };
        let client = PlainClient::new(self.hub.clone(), conn, outbox.clone(), self.events_per_second);
        let (stage, rules) = (Stage::Talking(Box::new(client)), self.plain_rules.clone());
        let opening = Opening { stage, outbox, rules, deflate, keep: Some(keep), place: visit.place };
        opening.start(&self.links, &mut request);
        response
    }
}
