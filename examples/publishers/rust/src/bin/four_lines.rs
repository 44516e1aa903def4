//! The least that injects an event and hears what became of it; the lines of the README beside it.

use std::env;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "what it is for")]
async fn main() -> anyhow::Result<()> {
    let bus = async_nats::connect(env::var("NATS_URL")?).await?;
    let subject = "exedra.in.public-rooms.lobby.room-update";
    let answer = bus.request(subject, r#"{"message": "hello"}"#.into()).await?;
    println!("{}", String::from_utf8_lossy(&answer.payload));
    Ok(())
}
