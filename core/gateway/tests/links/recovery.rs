//! Connection State Recovery as the stock client asks for it: `pid` and `offset` in CONNECT.

use std::time::Duration;

use exedra_gateway::{Bounds, RecoveryConfig, SocketIoConfig};
use exedra_hub::Limits;
use serde_json::Value;

use crate::{Server, client::Client};

async fn server() -> Server {
    let bounds = Bounds { window: Duration::from_secs(60), ..Bounds::default() };
    let config = SocketIoConfig { recovery: RecoveryConfig::Within(bounds), ..SocketIoConfig::default() };
    Server::with(Limits { recovery: config.recovery(), ..Limits::default() }, |_| ()).await
}

/// Connects, and gives what CONNECT said.
async fn connect(client: &mut Client, auth: &str) -> Value {
    client.send(&format!("40{auth}")).await;
    serde_json::from_str(&client.text().await[2..]).unwrap()
}

/// The offset of the event that comes next, which must be `expected` without it.
async fn event(client: &mut Client, expected: &str) -> String {
    let text = client.text().await;
    let mut args: Vec<Value> = serde_json::from_str(&text[2..]).unwrap();
    let offset = args.pop().unwrap();
    assert_eq!(serde_json::to_string(&args).unwrap(), expected);
    offset.as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_link_is_made_good() {
    let server = server().await;
    let mut client = Client::socketio(server.addr).await;
    let said = connect(&mut client, "").await;
    let (sid, pid) = (said["sid"].as_str().unwrap(), said["pid"].as_str().unwrap());
    let first = event(&mut client, r#"["auth",{}]"#).await;
    client.send(r#"42["message",1]"#).await;
    event(&mut client, r#"["message-back",1]"#).await;
    drop(client);
    // As if the answer had been lost with the link.
    let mut back = Client::socketio(server.addr).await;
    let again = connect(&mut back, &format!(r#"{{"pid":"{pid}","offset":"{first}"}}"#)).await;
    assert_eq!((again["sid"].as_str(), again["pid"].as_str()), (Some(sid), Some(pid)));
    event(&mut back, r#"["message-back",1]"#).await;
    event(&mut back, r#"["auth",{}]"#).await; // the plugin greets who comes back, too
    back.send(r#"423["message-with-ack",1]"#).await;
    assert_eq!(back.text().await, "433[1]");
}

#[tokio::test(flavor = "multi_thread")]
async fn goodbye_is_for_good() {
    let server = server().await;
    let mut client = Client::socketio(server.addr).await;
    let pid = connect(&mut client, "").await["pid"].as_str().unwrap().to_owned();
    client.send("41").await;
    drop(client);
    let mut back = Client::socketio(server.addr).await;
    let again = connect(&mut back, &format!(r#"{{"pid":"{pid}"}}"#)).await;
    assert_ne!(again["pid"].as_str(), Some(&*pid));
    assert_eq!(again["lost"], "unknown");
}

#[tokio::test]
async fn off_unless_asked_for() {
    let server = Server::start().await;
    let mut client = Client::socketio(server.addr).await;
    let said = connect(&mut client, r#"{"pid":"p"}"#).await;
    assert_eq!(said.as_object().unwrap().len(), 1);
    assert_eq!(client.text().await, r#"42["auth",{"pid":"p"}]"#);
}
