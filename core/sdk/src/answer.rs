//! What a handler's return value becomes on its way to the hub.

use bytes::Bytes;
use serde::Serialize;

use crate::{Args, Error, NoContent, Reply, Result};

/// The parts of a successful result.
#[derive(Debug, Default)]
pub struct Answer {
    pub(crate) code: u64,
    pub(crate) payload: Bytes,
    pub(crate) meta: Vec<u8>,
    pub(crate) attachments: Vec<Bytes>,
}

/// How a call ends.
pub type Outcome = Result<Answer>;

impl Answer {
    pub(crate) fn bytes(payload: impl Into<Bytes>) -> Self {
        Self { payload: payload.into(), ..Self::default() }
    }
}

/// JSON of one value as the arguments of an event: `[value]`, and `[]` for `()`.
pub(crate) fn one_argument<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    let mut json = vec![b'['];
    serde_json::to_writer(&mut json, value)?;
    // Values without a size that are null are `()` and its like; `None` has a size and stays a `null`.
    if size_of_val(value) == 0 && json == b"[null" {
        json.truncate(1);
    }
    json.push(b']');
    Ok(json)
}

/// JSON of one value; nothing for `()`.
pub(crate) fn one_value<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    let json = serde_json::to_vec(value)?;
    Ok(if size_of_val(value) == 0 && json == b"null" { Vec::new() } else { json })
}

/// What an event handler may acknowledge with: anything that serializes (one argument), `()` (no arguments) or
/// [`Args`] (any number, binary too).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an acknowledgement",
    note = "derive `Serialize` for it"
)]
pub trait IntoAck {
    #[doc(hidden)]
    fn into_ack(self) -> Outcome;
}

impl<T: Serialize> IntoAck for T {
    fn into_ack(self) -> Outcome {
        Ok(Answer::bytes(one_argument(&self)?))
    }
}

impl IntoAck for Args {
    fn into_ack(self) -> Outcome {
        Ok(Answer { payload: self.json, attachments: self.attachments, ..Answer::default() })
    }
}

/// What an `#[rpc]` handler may answer: anything that serializes.
#[diagnostic::on_unimplemented(message = "`{Self}` cannot be an answer", note = "derive `Serialize` for it")]
pub trait IntoAnswer {
    #[doc(hidden)]
    fn into_answer(self) -> Outcome;
}

impl<T: Serialize> IntoAnswer for T {
    fn into_answer(self) -> Outcome {
        Ok(Answer::bytes(one_value(&self)?))
    }
}

/// What an `#[http]` handler may return: [`Json`](crate::Json), [`Created`](crate::Created), [`NoContent`],
/// [`WithHeader`](crate::WithHeader), [`Reply`] or `()`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no HTTP reply",
    note = "wrap it in `Json`, `Created` or `Reply`, or return `NoContent`"
)]
pub trait IntoReply {
    /// The reply.
    ///
    /// # Errors
    /// When the value cannot be written as JSON.
    fn into_reply(self) -> Result<Reply>;

    /// The status, as far as the type says it; for the manifest.
    #[doc(hidden)]
    fn status() -> u16 {
        200
    }
}

impl IntoReply for () {
    fn into_reply(self) -> Result<Reply> {
        NoContent.into_reply()
    }

    fn status() -> u16 {
        NoContent::status()
    }
}

/// What `fn` of a kind may return.
#[doc(hidden)]
#[diagnostic::on_unimplemented(message = "an event handler returns `Result<T>` or nothing, not `{Self}`")]
pub trait EventReturn {
    fn finish(self, wants_ack: bool) -> Outcome;
}

impl<T: IntoAck, E: Into<Error>> EventReturn for Result<T, E> {
    fn finish(self, wants_ack: bool) -> Outcome {
        let value = self.map_err(Into::into)?;
        if wants_ack { value.into_ack() } else { Ok(Answer::default()) }
    }
}

impl EventReturn for () {
    fn finish(self, wants_ack: bool) -> Outcome {
        EventReturn::finish(Ok::<_, Error>(()), wants_ack)
    }
}

#[doc(hidden)]
#[diagnostic::on_unimplemented(message = "an HTTP handler returns `Result<T>`, not `{Self}`")]
pub trait HttpReturn {
    fn finish(self) -> Outcome;
}

impl<T: IntoReply, E: Into<Error>> HttpReturn for Result<T, E> {
    fn finish(self) -> Outcome {
        self.map_err(Into::into)?.into_reply()?.into_outcome()
    }
}

#[doc(hidden)]
#[diagnostic::on_unimplemented(message = "an rpc handler returns `Result<T>`, not `{Self}`")]
pub trait RpcReturn {
    fn finish(self) -> Outcome;
}

impl<T: IntoAnswer, E: Into<Error>> RpcReturn for Result<T, E> {
    fn finish(self) -> Outcome {
        self.map_err(Into::into)?.into_answer()
    }
}

#[doc(hidden)]
#[diagnostic::on_unimplemented(message = "this handler returns `Result<()>` or nothing, not `{Self}`")]
pub trait UnitReturn {
    fn finish(self) -> Outcome;
}

impl<E: Into<Error>> UnitReturn for Result<(), E> {
    fn finish(self) -> Outcome {
        self.map(|()| Answer::default()).map_err(Into::into)
    }
}

impl UnitReturn for () {
    fn finish(self) -> Outcome {
        Ok(Answer::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_has_no_arguments() {
        assert_eq!(one_argument(&()).unwrap(), b"[]");
        assert_eq!(one_argument(&None::<u8>).unwrap(), b"[null]");
        assert_eq!(one_argument(&serde_json::Value::Null).unwrap(), b"[null]");
        assert_eq!(one_argument("x").unwrap(), b"[\"x\"]");
        assert_eq!(one_value(&()).unwrap(), b"");
    }
}
