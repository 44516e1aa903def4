//! The public listener's front: decides who answers a request, and whether a page of that origin may ask.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, response::Response};
use exedra_hub::{Hub, hub::Routed};
use http::{HeaderValue, Method, Request, StatusCode, header};
use hyper::body::Incoming;
use ipnet::IpNet;
use tower::ServiceExt;

use crate::{
    admission::Admission,
    engine::EngineIo,
    link::Rules,
    links::Links,
    listener::{Serve, ServeFuture, Visit},
    origin::{Origin, Origins},
    peer::client_address,
    plain::PlainFormat,
    request::wants_websocket,
    rest,
};

/// Everything behind the public listener.
pub(crate) struct Front {
    pub(crate) hub: Arc<Hub>,
    pub(crate) links: Arc<Links>,
    pub(crate) door: Arc<Admission>,
    pub(crate) origins: Origins,
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Socket.IO's path without the slash at its end.
    pub(crate) socketio_path: String,
    pub(crate) engine: EngineIo,
    pub(crate) plain_format: Arc<PlainFormat>,
    pub(crate) plain_rules: Arc<Rules>,
    pub(crate) connect_timeout: Duration,
    pub(crate) events_per_second: u32,
    /// What nobody else serves.
    pub(crate) pages: Router,
}

impl Serve for Front {
    fn serve(self: Arc<Self>, request: Request<Incoming>, visit: Visit) -> ServeFuture {
        Box::pin(async move {
            let peer = client_address(visit.peer, request.headers(), &self.trusted_proxies);
            let origin = self.origins.judge(request.headers());
            if let Some(answer) = origin.preflight(request.method(), request.headers()) {
                return answer;
            }
            let mut response = self.dispatch(request, &origin, peer, visit).await;
            origin.allow(response.headers_mut());
            let nosniff = HeaderValue::from_static("nosniff");
            response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
            response
        })
    }
}

impl Front {
    async fn dispatch(
        &self,
        request: Request<Incoming>,
        origin: &Origin,
        peer: IpAddr,
        visit: Visit,
    ) -> Response<Body> {
        let path = request.uri().path();
        if self.links.stopping().is_cancelled() && !self.engine.is_poll(&request) {
            return rest::stopping();
        }
        let is_socketio =
            path.strip_prefix(&self.socketio_path).is_some_and(|rest| rest.is_empty() || rest == "/");
        let is_endpoint = !is_socketio && self.hub.knows_namespace("websocket", path);
        let upgrades = wants_websocket(request.headers());
        if !origin.may_connect() && (is_socketio || upgrades) {
            self.hub.metrics().connect_refused("origin");
            return rest::foreign_origin();
        }
        if is_socketio {
            return self.engine.serve(request, peer, visit).await;
        }
        if is_endpoint && upgrades {
            return self.endpoint(request, peer, visit).await;
        }
        // The body of an answer to HEAD is taken off by hyper.
        let method = if request.method() == Method::HEAD { "GET" } else { request.method().as_str() };
        match self.hub.route(method, path) {
            Routed::Found(route) => self.rest(route, request, peer).await,
            Routed::WrongMethod(allowed) => rest::wrong_method(&allowed),
            Routed::NotFound if is_endpoint => rest::upgrade_required(),
            Routed::NotFound => self.page(request).await,
        }
    }

    async fn page(&self, request: Request<Incoming>) -> Response<Body> {
        let Ok(response) = self.pages.clone().oneshot(request.map(Body::new)).await;
        let says_nothing = !response.headers().contains_key(header::CONTENT_TYPE);
        if response.status() == StatusCode::NOT_FOUND && says_nothing { rest::not_found() } else { response }
    }
}
