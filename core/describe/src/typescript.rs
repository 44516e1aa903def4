//! Types for TypeScript: every payload, the event maps that stock Socket.IO clients take, the frames of plain WebSocket
//! endpoints, and the routes. Names from plugins are written as strings, texts as comments that cannot end early.

mod types;

use std::fmt::Write;

use exedra_hub::manifest::Manifest;
use serde_json::{Map, Value};

use crate::{
    Facts,
    asyncapi::framed,
    catalog::{Catalog, Space},
    names::pascal,
    words::{Arguments, acknowledgements, parameters},
};
use types::{comment, line, quoted, record, ty};

pub(crate) fn document(facts: &Facts, catalog: &Catalog) -> String {
    let mut text = format!(
        "// The events and routes of an Exedra hub, version {}, as its plugins declare them.\n//\n\
         //   import {{ io, type Socket }} from \"socket.io-client\";\n\
         //   const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io(url, {{ auth: {{ token }} }});\n\n\
         /** Bytes: an `ArrayBuffer` in browsers, a `Buffer` in Node. */\n\
         export type Binary = ArrayBuffer | Uint8Array;\n\n\
         /** A map whose events are all acknowledged, as `emitWithAck` wants it: `Socket<…, Acknowledged<…>>`. */\n\
         export type Acknowledged<Events> = {{\n  [Name in keyof Events]: Events[Name] extends (...args: infer All) => void\n    \
         ? (...args: Required<All>) => void\n    : never;\n}};\n",
        line(&facts.version)
    );
    for (name, schema) in &catalog.defs {
        definition(&mut text, name, schema);
    }
    namespaces(&mut text, catalog);
    for space in catalog.endpoints() {
        endpoint(&mut text, catalog, &space);
    }
    routes(&mut text, catalog);
    services(&mut text, catalog);
    text
}

fn definition(text: &mut String, name: &str, schema: &Value) {
    comment(text, "", schema["description"].as_str().unwrap_or_default());
    let is_record = schema["properties"].is_object()
        && ["oneOf", "anyOf", "allOf", "enum"].iter().all(|key| schema.get(*key).is_none());
    let refuses = name == "Refused";
    let ty = if is_record { record(schema, "", 0, refuses) } else { ty(schema, 0) };
    let _ = if is_record {
        writeln!(text, "export interface {name} {ty}")
    } else {
        writeln!(text, "export type {name} = {ty};")
    };
}

fn namespaces(text: &mut String, catalog: &Catalog) {
    let spaces = catalog.namespaces();
    let mut maps = String::new();
    for space in &spaces {
        let name = pascal(space.path);
        let about = format!("What the hub sends in the namespace `{}`.", space.path);
        interface(text, &format!("{name}ServerToClientEvents"), &about, &sent(space));
        let about = format!("What clients send in the namespace `{}`.", space.path);
        interface(text, &format!("{name}ClientToServerEvents"), &about, &received(space));
        let _ = writeln!(
            maps,
            "  {}: {{ serverToClient: {name}ServerToClientEvents; clientToServer: {name}ClientToServerEvents }};",
            quoted(space.path)
        );
    }
    interface(text, "Namespaces", "The event maps of each namespace.", &maps);
}

/// Members of `ServerToClientEvents`. Plugins that share a namespace may send events of the same name.
fn sent(space: &Space<'_>) -> String {
    let mut members = String::new();
    let mut done: Vec<&str> = Vec::new();
    for emit in space.plugins.iter().flat_map(|manifest| &manifest.emits) {
        if emit.name == "*" {
            comment(&mut members, "  ", &format!("Beside these: {}", emit.description));
            // A map that takes any name would take wrong ones too.
            let _ = writeln!(members, "  // events of other names are added by `interface … extends`");
            continue;
        }
        if done.contains(&&*emit.name) {
            continue;
        }
        done.push(&emit.name);
        let all: Vec<_> = space
            .plugins
            .iter()
            .flat_map(|manifest| &manifest.emits)
            .filter(|one| one.name == emit.name)
            .collect();
        let mut forms: Vec<String> = Vec::new();
        for one in &all {
            let ack = one.answer.as_ref().map(|answer| {
                let answer = if answer.as_object().is_some_and(Map::is_empty) {
                    "...answer: unknown[]".to_owned()
                } else {
                    format!("answer: {}", ty(answer, 1))
                };
                format!("acknowledge: ({answer}) => void")
            });
            let form = parameters_of(&Arguments::of_emit(one), ack);
            if !forms.contains(&form) {
                forms.push(form);
            }
        }
        let mut about: Vec<_> = all.iter().map(|one| one.description.as_str()).collect();
        about.dedup();
        comment(&mut members, "  ", &about.join(" Or: "));
        // One argument each: their union. Anything else cannot be told apart by name alone.
        let single: Option<Vec<&str>> = forms.iter().map(|form| single(form)).collect();
        let parameters = match (&*forms, single) {
            ([form], _) => form.clone(),
            (_, Some(types)) => format!("payload: {}", types.join(" | ")),
            (_, None) => "...args: unknown[]".to_owned(),
        };
        let _ = writeln!(members, "  {}: ({parameters}) => void;", quoted(&emit.name));
    }
    members
}

fn single(form: &str) -> Option<&str> {
    form.strip_prefix("payload: ").filter(|rest| !rest.contains(", acknowledge: "))
}

/// Members of `ClientToServerEvents`.
fn received(space: &Space<'_>) -> String {
    let mut members = String::new();
    for event in space.plugins.iter().flat_map(|manifest| &manifest.events).filter(|event| event.name != "*")
    {
        let mut answers: Vec<String> =
            acknowledgements(event).iter().flatten().map(|one| ty(one, 1)).collect();
        answers.dedup();
        let arguments = Arguments::of_event(event);
        let any = event.ack.as_ref().is_some_and(|ack| ack.as_object().is_some_and(Map::is_empty));
        let ack = match (any, &event.ack) {
            (true, _) => "...answer: unknown[]".to_owned(),
            (false, Some(_)) => format!("answer: {}", answers.join(" | ")),
            (false, None) => format!("refused?: {}", answers.join(" | ")),
        };
        let ack = format!("acknowledge?: ({ack}) => void");
        // After any number of arguments nothing more can be named.
        let parameters = match arguments {
            Arguments::Any => parameters_of(&arguments, None),
            these => parameters_of(&these, Some(ack)),
        };
        comment(&mut members, "  ", &event.description);
        let _ = writeln!(members, "  {}: ({parameters}) => void;", quoted(&event.name));
    }
    members
}

fn parameters_of(arguments: &Arguments, ack: Option<String>) -> String {
    let mut all = match arguments {
        Arguments::Any => return "...args: any[]".to_owned(),
        Arguments::These(these) => match these.as_slice() {
            [one] => vec![format!("payload: {}", ty(one, 1))],
            several => {
                several.iter().zip(1..).map(|(one, at)| format!("argument{at}: {}", ty(one, 1))).collect()
            }
        },
    };
    all.extend(ack);
    all.join(", ")
}

fn endpoint(text: &mut String, catalog: &Catalog, space: &Space<'_>) {
    let name = pascal(space.path);
    let union =
        |frames: Vec<String>| if frames.is_empty() { "never".to_owned() } else { frames.join("\n  | ") };
    let frames = |field, of: Vec<(&str, Arguments)>| {
        let frame = |(event, arguments): (&str, Arguments)| ty(&framed(catalog, field, event, &arguments), 1);
        union(of.into_iter().filter(|(event, _)| *event != "*").map(frame).collect())
    };
    let events = space.plugins.iter().flat_map(|manifest| &manifest.events);
    let sent = frames("action", events.map(|event| (&*event.name, Arguments::of_event(event))).collect());
    let emits = space.plugins.iter().flat_map(|manifest| &manifest.emits);
    let got = frames("type", emits.map(|emit| (&*emit.name, Arguments::of_emit(emit))).collect());
    let _ = write!(
        text,
        "\n/** What clients send to the WebSocket `{path}`, as JSON. */\nexport type {name}ClientMessage =\n  | {sent};\n\
         \n/** What the WebSocket `{path}` sends, as JSON. */\nexport type {name}ServerMessage =\n  | {got};\n",
        path = line(space.path)
    );
}

fn routes(text: &mut String, catalog: &Catalog) {
    let mut members = String::new();
    for route in catalog.plugins.iter().flat_map(|plugin| &plugin.manifest.routes) {
        let params: Vec<_> =
            parameters(&route.path).into_iter().map(|name| format!("{}: string", quoted(name))).collect();
        let params = if params.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", params.join("; ")) };
        let query = route.query.as_ref().map_or_else(|| "{}".to_owned(), |query| ty(query, 1));
        let bytes = |kind: &Option<String>| kind.as_ref().map(|_| "Binary".to_owned());
        let body = bytes(&route.body_type).or_else(|| route.schema.as_ref().map(|schema| ty(schema, 1)));
        let answer =
            bytes(&route.response_type).or_else(|| route.response.as_ref().map(|schema| ty(schema, 1)));
        comment(&mut members, "  ", &route.description);
        let _ = writeln!(
            members,
            "  {}: {{ params: {params}; query: {query}; body: {}; answer: {} }};",
            quoted(&format!("{} {}", route.method, route.path)),
            body.as_deref().unwrap_or("undefined"),
            answer.as_deref().unwrap_or("undefined"),
        );
    }
    interface(
        text,
        "Routes",
        "REST routes: what each takes and answers with. A refusal is a `Problem`.",
        &members,
    );
}

/// What back ends send and get over NATS.
fn services(text: &mut String, catalog: &Catalog) {
    let (mut injected, mut told, mut methods) = (String::new(), String::new(), String::new());
    let of = |schema: Option<&Value>| schema.map_or_else(|| "unknown".to_owned(), |schema| ty(schema, 1));
    for Manifest { name, injects, outs, rpcs, .. } in catalog.plugins.iter().map(|plugin| &*plugin.manifest) {
        for one in injects.iter().filter(|one| one.event != "*") {
            let body = if one.body_type.is_some() { "Binary".to_owned() } else { of(one.schema.as_ref()) };
            comment(&mut injected, "  ", &one.description);
            let _ = writeln!(injected, "  {}: {body};", quoted(&format!("{name}.{}", one.event)));
        }
        for one in outs.iter().filter(|one| one.event != "*") {
            comment(&mut told, "  ", &one.description);
            let _ = writeln!(
                told,
                "  {}: {};",
                quoted(&format!("{name}.{}", one.event)),
                of(one.schema.as_ref())
            );
        }
        for one in rpcs {
            let (body, answer) = (of(one.schema.as_ref()), of(one.answer.as_ref()));
            comment(&mut methods, "  ", &one.description);
            let _ = writeln!(
                methods,
                "  {}: {{ body: {body}; answer: {answer} }};",
                quoted(&format!("{name}.{}", one.method))
            );
        }
    }
    interface(text, "Injected", "What services inject over NATS, by plugin and event.", &injected);
    interface(text, "Told", "What services are told over NATS, by plugin and event.", &told);
    interface(text, "Methods", "What services ask for over NATS, by plugin and method.", &methods);
}

fn interface(text: &mut String, name: &str, about: &str, members: &str) {
    comment(text, "", about);
    let _ = if members.is_empty() {
        writeln!(text, "export interface {name} {{}}")
    } else {
        writeln!(text, "export interface {name} {{\n{members}}}")
    };
}
