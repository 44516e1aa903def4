//! What goes where: namespaces, endpoints, events, routes, injected events and methods of all enabled plugins,
//! built once from their manifests. A conflict between two plugins is a start-up error that names both.

use std::{collections::HashMap, sync::Arc};

use crate::{
    begun::Begun,
    manifest::{AuthMode, Manifest},
    metrics::{ConnectionsGauge, Metrics, PluginMetrics},
    namespace::{Params, Pattern},
    port::PluginId,
    switch::Switch,
};

/// A manifest and what the configuration changes about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Install {
    /// What the plugin declares.
    pub manifest: Arc<Manifest>,
    /// Takes the place of the declared namespaces.
    pub namespace: Option<String>,
    /// Takes the place of the declared `auth` of namespaces and endpoints.
    pub auth: Option<AuthMode>,
}

impl Install {
    /// The Socket.IO namespaces that it serves here, and whether each needs a token.
    pub fn namespaces(&self) -> Vec<(&str, AuthMode)> {
        let declared = &self.manifest.namespaces;
        let first = declared.first().map(|n| n.auth).unwrap_or_default();
        match &self.namespace {
            Some(path) => vec![(path, self.auth.unwrap_or(first))],
            None => declared.iter().map(|n| (&*n.path, self.auth.unwrap_or(n.auth))).collect(),
        }
    }

    /// The plain WebSocket endpoints that it serves here, and whether each needs a token.
    pub fn endpoints(&self) -> Vec<(&str, AuthMode)> {
        self.manifest.endpoints.iter().map(|e| (&*e.path, self.auth.unwrap_or(e.auth))).collect()
    }
}

impl From<Manifest> for Install {
    fn from(manifest: Manifest) -> Self {
        Self { manifest: manifest.into(), namespace: None, auth: None }
    }
}

/// An enabled plugin.
#[derive(Debug)]
pub struct Slot {
    /// Its manifest.
    pub manifest: Arc<Manifest>,
    /// Its metrics.
    pub metrics: PluginMetrics,
    /// The plugins that share a namespace with it, or with one that does: they have the same number.
    pub line: usize,
    /// Whether it takes part; goes with the plugin from one table to the next.
    pub switch: Arc<Switch>,
    /// What runs for it; goes with it too.
    pub begun: Arc<Begun>,
}

/// Where the events of one namespace or endpoint go.
#[derive(Debug)]
pub struct Space {
    /// `socketio` or `websocket`.
    pub gateway: &'static str,
    /// The declared path.
    pub pattern: Pattern,
    /// The strictest of the plugins that share it.
    pub auth: AuthMode,
    /// The plugins that serve it, in order of configuration.
    pub plugins: Vec<PluginId>,
    /// Open connections.
    pub connections: ConnectionsGauge,
    /// The `line` of its plugins.
    pub line: usize,
    events: HashMap<String, (PluginId, u32)>,
    fallback: Option<(PluginId, u32)>,
}

impl Space {
    /// Who takes an event of this name.
    pub fn taker(&self, event: &str) -> Option<(PluginId, u32)> {
        self.events.get(event).copied().or(self.fallback)
    }

    /// Whether connections of `before` get from this one all that they would get anew: the same plugins, no event
    /// that `before` does not know of, and no stricter `auth`. Where handlers stand in their lists does not matter.
    pub(crate) fn does_all_of(&self, before: &Self) -> bool {
        let takes =
            |before: Option<(PluginId, u32)>, now: (PluginId, u32)| before.is_some_and(|(p, _)| p == now.0);
        self.plugins == before.plugins
            && self.auth <= before.auth
            && self.line == before.line
            && self.events.iter().all(|(name, taker)| takes(before.taker(name), *taker))
            && self.fallback.is_none_or(|taker| takes(before.fallback, taker))
    }
}

#[derive(Debug)]
struct Route {
    pattern: Pattern,
    method: String,
    plugin: PluginId,
    handler: u32,
    /// `GET /meetings/{id}`
    name: Arc<str>,
    auth: AuthMode,
    body_limit: usize,
}

/// Where a request goes.
#[derive(Debug)]
pub enum Routed {
    /// To this route.
    Found(RouteMatch),
    /// The path exists, with these methods.
    WrongMethod(Vec<String>),
    /// No such path.
    NotFound,
}

/// A route that takes a request.
#[derive(Debug)]
pub struct RouteMatch {
    /// Largest body in bytes.
    pub body_limit: usize,
    pub(crate) plugin: PluginId,
    pub(crate) handler: u32,
    pub(crate) name: Arc<str>,
    pub(crate) auth: AuthMode,
    pub(crate) params: Params,
}

/// Everything that can be addressed.
#[derive(Debug, Default)]
pub struct Table {
    /// Enabled plugins, by [`PluginId`].
    pub slots: Vec<Slot>,
    spaces: Vec<Arc<Space>>,
    routes: Vec<Route>,
}

impl Table {
    /// Builds the table.
    ///
    /// # Errors
    /// A sentence naming the plugins that want the same thing, or the plugin with a bad path.
    pub fn build(installs: Vec<Install>, metrics: &Metrics) -> Result<Self, String> {
        let mut table = Self::default();
        let mut spaces: Vec<Space> = Vec::new();
        for (index, install) in installs.into_iter().enumerate() {
            let plugin = PluginId(u16::try_from(index).map_err(|_| "too many plugins".to_owned())?);
            add_spaces(&mut spaces, &table.slots, plugin, &install, metrics)?;
            table.add_routes(plugin, &install.manifest)?;
            let metrics = metrics.plugin(&install.manifest.name);
            table.slots.push(Slot {
                manifest: install.manifest,
                metrics,
                line: index,
                switch: Arc::default(),
                begun: Arc::default(),
            });
        }
        draw_lines(&mut table.slots, &mut spaces);
        spaces.sort_by_key(|space| space.pattern.params());
        table.routes.sort_by_key(|route| route.pattern.params());
        table.spaces = spaces.into_iter().map(Into::into).collect();
        Ok(table)
    }

    /// The namespace or endpoint that takes connections under `path`, and its parameters.
    pub fn space(&self, gateway: &str, path: &str) -> Option<(&Arc<Space>, Params)> {
        let fits = |space: &&Arc<Space>| space.gateway == gateway;
        self.spaces.iter().filter(fits).find_map(|space| Some((space, space.pattern.matches(path, false)?)))
    }

    /// The paths of plain WebSocket endpoints.
    pub fn endpoints(&self) -> Vec<String> {
        let endpoints = self.spaces.iter().filter(|space| space.gateway == "websocket");
        endpoints.map(|space| space.pattern.as_str().to_owned()).collect()
    }

    /// The route that takes a request.
    pub fn route(&self, method: &str, path: &str) -> Routed {
        let mut allowed = Vec::new();
        for route in &self.routes {
            let Some(params) = route.pattern.matches(path, true) else { continue };
            if route.method == method {
                let &Route { plugin, handler, auth, body_limit, .. } = route;
                let name = route.name.clone();
                return Routed::Found(RouteMatch { body_limit, plugin, handler, name, auth, params });
            }
            allowed.push(route.method.clone());
        }
        if allowed.is_empty() { Routed::NotFound } else { Routed::WrongMethod(allowed) }
    }

    fn add_routes(&mut self, plugin: PluginId, manifest: &Manifest) -> Result<(), String> {
        for (handler, declared) in manifest.routes.iter().enumerate() {
            let pattern =
                Pattern::parse(&declared.path).map_err(|e| format!("plugin {}: {e}", manifest.name))?;
            let taken = |r: &&Route| r.method == declared.method && r.pattern.clashes(&pattern);
            if let Some(other) = self.routes.iter().find(taken) {
                let other =
                    self.slots.get(usize::from(other.plugin.0)).map_or(&manifest.name, |s| &s.manifest.name);
                return Err(format!(
                    "plugins {other} and {} both serve {} {}",
                    manifest.name, declared.method, declared.path
                ));
            }
            self.routes.push(Route {
                name: format!("{} {}", declared.method, declared.path).into(),
                pattern,
                method: declared.method.clone(),
                plugin,
                handler: handler as u32,
                auth: declared.auth,
                body_limit: declared.body_limit,
            });
        }
        Ok(())
    }
}

fn add_spaces(
    spaces: &mut Vec<Space>,
    slots: &[Slot],
    plugin: PluginId,
    install: &Install,
    metrics: &Metrics,
) -> Result<(), String> {
    let manifest = &install.manifest;
    let (namespaces, endpoints) = (install.namespaces().into_iter(), install.endpoints().into_iter());
    let all = namespaces
        .map(|(path, auth)| ("socketio", path, auth))
        .chain(endpoints.map(|(path, auth)| ("websocket", path, auth)));
    for (gateway, path, auth) in all {
        let pattern = Pattern::parse(path).map_err(|e| format!("plugin {}: {e}", manifest.name))?;
        let shared = spaces.iter_mut().find(|s| s.gateway == gateway && s.pattern.clashes(&pattern));
        let space = match shared {
            Some(space) => space,
            None => {
                let connections = metrics.connections(gateway, path);
                spaces.push(Space {
                    gateway,
                    pattern,
                    auth,
                    plugins: Vec::new(),
                    connections,
                    line: 0,
                    events: HashMap::new(),
                    fallback: None,
                });
                let last = spaces.len() - 1;
                &mut spaces[last]
            }
        };
        space.auth = space.auth.max(auth);
        space.plugins.push(plugin);
        add_events(space, slots, plugin, manifest)?;
    }
    Ok(())
}

/// Gives plugins that are tied by shared namespaces the same line.
fn draw_lines(slots: &mut [Slot], spaces: &mut [Space]) {
    let line_of = |slots: &[Slot], plugin: &PluginId| slots[usize::from(plugin.0)].line;
    for space in &*spaces {
        let tied: Vec<usize> = space.plugins.iter().map(|plugin| line_of(slots, plugin)).collect();
        let Some(&first) = tied.iter().min() else { continue };
        for slot in slots.iter_mut().filter(|slot| tied.contains(&slot.line)) {
            slot.line = first;
        }
    }
    for space in spaces {
        space.line = space.plugins.first().map_or(0, |plugin| line_of(slots, plugin));
    }
}

fn add_events(
    space: &mut Space,
    slots: &[Slot],
    plugin: PluginId,
    manifest: &Manifest,
) -> Result<(), String> {
    for (handler, event) in manifest.events.iter().enumerate() {
        let target = (plugin, handler as u32);
        let before = if event.name == "*" {
            space.fallback.replace(target)
        } else {
            space.events.insert(event.name.clone(), target)
        };
        if let Some((other, _)) = before {
            let other = slots.get(usize::from(other.0)).map_or(&manifest.name, |s| &s.manifest.name);
            return Err(format!(
                "plugins {other} and {} both declare the event `{}` on the namespace {}",
                manifest.name, event.name, space.pattern
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Event, Namespace, Route};

    fn plugin(name: &str, namespace: &str, events: &[&str], routes: &[(&str, &str)]) -> Install {
        let event = |name: &&str| Event { name: (*name).into(), ..Event::default() };
        let route = |(method, path): &(&str, &str)| Route {
            method: (*method).into(),
            path: (*path).into(),
            auth: AuthMode::None,
            ..Route::default()
        };
        Manifest {
            name: name.into(),
            namespaces: vec![Namespace { path: namespace.into(), auth: AuthMode::Optional }],
            events: events.iter().map(event).collect(),
            routes: routes.iter().map(route).collect(),
            ..Manifest::default()
        }
        .into()
    }

    fn table(installs: Vec<Install>) -> Result<Table, String> {
        Table::build(installs, &Metrics::new())
    }

    #[test]
    fn events_go_to_their_plugin() {
        let table = table(vec![plugin("a", "/", &["x", "*"], &[]), plugin("b", "/", &["y"], &[])]).unwrap();
        let (space, _) = table.space("socketio", "/").unwrap();
        assert_eq!(space.plugins, [PluginId(0), PluginId(1)]);
        assert_eq!(space.taker("x"), Some((PluginId(0), 0)));
        assert_eq!(space.taker("y"), Some((PluginId(1), 0)));
        assert_eq!(space.taker("z"), Some((PluginId(0), 1)));
        assert!(table.space("websocket", "/").is_none());
    }

    #[test]
    fn conflicts_name_both_plugins() {
        let events = table(vec![plugin("a", "/", &["x"], &[]), plugin("b", "/", &["x"], &[])]);
        assert_eq!(events.unwrap_err(), "plugins a and b both declare the event `x` on the namespace /");
        let get = [("GET", "/m/{id}")];
        let routes =
            table(vec![plugin("a", "/a", &[], &get), plugin("b", "/b", &[], &[("GET", "/m/{name}")])]);
        assert_eq!(routes.unwrap_err(), "plugins a and b both serve GET /m/{name}");
    }

    #[test]
    fn strictest_auth_holds_for_sharers() {
        let mut strict = plugin("b", "/", &[], &[]);
        strict.auth = Some(AuthMode::Required);
        let table = table(vec![plugin("a", "/", &[], &[]), strict]).unwrap();
        assert_eq!(table.space("socketio", "/").unwrap().0.auth, AuthMode::Required);
    }

    #[test]
    fn sharers_of_namespaces_share_a_line() {
        let mut installs =
            vec![plugin("a", "/a", &[], &[]), plugin("b", "/b", &[], &[]), plugin("c", "/c", &[], &[])];
        Arc::make_mut(&mut installs[2].manifest)
            .namespaces
            .push(Namespace { path: "/a".into(), auth: AuthMode::Optional });
        let table = table(installs).unwrap();
        let line = |path| table.space("socketio", path).unwrap().0.line;
        assert_eq!((line("/a"), line("/b"), line("/c")), (0, 1, 0));
        assert_eq!(table.slots.iter().map(|slot| slot.line).collect::<Vec<_>>(), [0, 1, 0]);
    }

    #[test]
    fn editions_serve_those_before_unless_more_is_served() {
        let served = |before: &[&str], now: &[&str]| {
            let (before, now) = (plugin("a", "/a", before, &[]), plugin("a", "/a", now, &[]));
            let [before, now] = [before, now].map(|install| table(vec![install]).unwrap());
            let (before, now) =
                (before.space("socketio", "/a").unwrap().0, now.space("socketio", "/a").unwrap().0);
            now.does_all_of(before)
        };
        assert!(served(&["x", "y"], &["y", "x"]));
        assert!(served(&["x", "y"], &["x"]));
        assert!(!served(&["x"], &["x", "y"]));
        assert!(served(&["x", "*"], &["x", "y"]), "it came to the plugin before");
        assert!(!served(&["x"], &["x", "*"]));
    }

    #[test]
    fn plain_segments_win_over_params() {
        let routes = [("GET", "/r/{id}"), ("GET", "/r/stats"), ("POST", "/r/{id}")];
        let table = table(vec![plugin("a", "/", &[], &routes)]).unwrap();
        let handler = |method, path| match table.route(method, path) {
            Routed::Found(found) => Some(found.handler),
            _ => None,
        };
        assert_eq!(handler("GET", "/r/stats"), Some(1));
        assert_eq!(handler("GET", "/r/7"), Some(0));
        assert!(matches!(table.route("PUT", "/r/7"), Routed::WrongMethod(m) if m == ["GET", "POST"]));
        assert!(matches!(table.route("GET", "/x"), Routed::NotFound));
    }
}
