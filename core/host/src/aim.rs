//! Which handler a call is for. The hub numbers handlers as they stood when it looked; another version of the plugin
//! may have put them in another order since, so they are found again by name.

use exedra_hub::{Code, Refusal, manifest::Manifest, port::Call};

/// The call with its handler as this manifest numbers it.
pub(crate) fn aim(manifest: &Manifest, call: Call) -> Result<Call, Refusal> {
    let mut call = call;
    let found = match &mut call {
        Call::Event { handler, message, .. } => {
            again(handler, &manifest.events, |event| &event.name, &message.event)
        }
        Call::Inject { handler, event, .. } => {
            again(handler, &manifest.injects, |inject| &inject.event, event)
        }
        Call::Rpc { handler, method, .. } => again(handler, &manifest.rpcs, |rpc| &rpc.method, method),
        Call::Http { handler, route, .. } => {
            let same = |declared: &exedra_hub::manifest::Route| {
                route.split_once(' ') == Some((&*declared.method, &*declared.path))
            };
            let stays = manifest.routes.get(*handler as usize).is_some_and(same);
            stays || manifest.routes.iter().position(same).map(|at| *handler = at as u32).is_some()
        }
        Call::Timer { handler } => (*handler as usize) < manifest.timers.len(),
        Call::Refresh { handler, .. } => (*handler as usize) < manifest.states.len(),
        Call::Connect { .. } | Call::Disconnect { .. } | Call::Leave { .. } => true,
    };
    if found {
        Ok(call)
    } else {
        Err(Refusal::new(Code::NotFound, "this version of the plugin has no such thing"))
    }
}

/// Looks at the place that is given, then by name, then for `*`, which takes what nobody declares.
fn again<T>(handler: &mut u32, declared: &[T], name_of: impl Fn(&T) -> &String, name: &str) -> bool {
    let stays = declared.get(*handler as usize).is_some_and(|one| name_of(one) == name);
    if stays {
        return true;
    }
    let named = |wanted: &str| declared.iter().position(|one| name_of(one) == wanted);
    named(name).or_else(|| named("*")).map(|at| *handler = at as u32).is_some()
}

#[cfg(test)]
mod tests {
    use exedra_hub::{
        manifest::{Event, Rpc},
        port::HttpRequest,
    };

    use super::*;

    fn rpc(method: &str) -> Rpc {
        Rpc { method: method.into(), ..Rpc::default() }
    }

    fn asked(manifest: &Manifest, method: &str, handler: u32) -> Option<u32> {
        let call = Call::Rpc { handler, method: method.into(), payload: "".into() };
        match aim(manifest, call) {
            Ok(Call::Rpc { handler, .. }) => Some(handler),
            _ => None,
        }
    }

    #[test]
    fn handlers_are_found_again() {
        let manifest = Manifest { rpcs: vec![rpc("b"), rpc("a")], ..Manifest::default() };
        assert_eq!(asked(&manifest, "b", 0), Some(0));
        assert_eq!(asked(&manifest, "a", 0), Some(1));
        assert_eq!(asked(&manifest, "b", 9), Some(0));
        assert_eq!(asked(&manifest, "c", 0), None);
        let all = Manifest { rpcs: vec![rpc("*"), rpc("a")], ..Manifest::default() };
        assert_eq!((asked(&all, "a", 0), asked(&all, "x", 1)), (Some(1), Some(0)));
    }

    #[test]
    fn routes_are_told_apart_by_method() {
        let route = |method: &str| {
            serde_json::from_str(&format!(r#"{{"method":"{method}","path":"/a/{{b}}"}}"#)).unwrap()
        };
        let manifest = Manifest { routes: vec![route("POST"), route("GET")], ..Manifest::default() };
        let request = HttpRequest {
            identity: None,
            params: vec![],
            query: vec![],
            headers: vec![],
            peer: [127, 0, 0, 1].into(),
            body: "".into(),
        };
        let at = |name: &str| match aim(
            &manifest,
            Call::Http { handler: 0, route: name.into(), request: Box::new(request.clone()) },
        ) {
            Ok(Call::Http { handler, .. }) => Some(handler),
            _ => None,
        };
        assert_eq!((at("GET /a/{b}"), at("POST /a/{b}"), at("GET /a")), (Some(1), Some(0), None));
    }

    #[test]
    fn timers_that_are_gone_rest() {
        let manifest = Manifest { events: Vec::<Event>::new(), ..Manifest::default() };
        assert!(aim(&manifest, Call::Timer { handler: 0 }).is_err());
    }
}
