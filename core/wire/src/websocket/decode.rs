//! From bytes, cut anywhere, to whole messages.
//!
//! Between messages a decoder holds no memory but itself. A message's limit is enforced when a head declares
//! its length, before a byte of it is kept, and what is kept never exceeds what has come. A compressed message is
//! kept as it came and inflated when it is whole, within the same limit.

use bytes::Bytes;

use super::{Close, Head, HeadParse, Opcode, Role, Violation, apply_mask, deflate::inflate};

/// Something whole that the other side sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
    /// A ping; to be answered with the same payload.
    Ping(Bytes),
    /// A pong.
    Pong(Bytes),
    /// The other side closes; nothing may follow.
    Close(Option<Close>),
}

/// The reading side of one connection.
#[derive(Debug)]
pub struct Decoder {
    /// What is incomplete; nothing while the stream is between messages.
    partial: Option<Box<Partial>>,
    /// Largest message in bytes.
    limit: u32,
    role: Role,
    /// Whether messages may be compressed.
    deflate: bool,
}

#[derive(Debug, Default)]
struct Partial {
    /// Bytes of a head that is not complete yet.
    head: Vec<u8>,
    /// The frame whose payload is being read, and how much of it has come.
    frame: Option<(Head, u64)>,
    /// The message whose fragments are being read.
    message: Option<Message>,
    /// The payload of a control frame being read.
    control: Vec<u8>,
}

#[derive(Debug)]
struct Message {
    text: bool,
    /// Whether `data` is compressed still.
    compressed: bool,
    data: Vec<u8>,
    /// How much of a text is known to be whole UTF-8 characters.
    valid: usize,
}

impl Decoder {
    /// A decoder that takes messages of up to `limit` bytes.
    pub fn new(role: Role, limit: usize) -> Self {
        Self { partial: None, limit: u32::try_from(limit).unwrap_or(u32::MAX), role, deflate: false }
    }

    /// The same for a connection on which permessage-deflate was agreed on, if `deflate`.
    #[must_use]
    pub fn inflating(self, deflate: bool) -> Self {
        Self { deflate, ..self }
    }

    /// Whether the stream is between two messages.
    pub fn is_idle(&self) -> bool {
        self.partial.is_none()
    }

    /// Reads on until one item is whole or `input` is used up; `input` is left at what follows.
    ///
    /// # Errors
    /// After a violation the stream cannot be read any further.
    pub fn feed(&mut self, input: &mut &[u8]) -> Result<Option<Item>, Violation> {
        loop {
            let Some((head, read)) = self.frame(input)? else { return Ok(None) };
            if let Some(item) = self.payload(head, read, input)? {
                return Ok(Some(item));
            }
            if input.is_empty() {
                return Ok(None);
            }
        }
    }

    /// The frame being read: the one begun, or a new one once its head is whole.
    fn frame(&mut self, input: &mut &[u8]) -> Result<Option<(Head, u64)>, Violation> {
        if let Some(frame) = self.partial.as_ref().and_then(|p| p.frame) {
            return Ok(Some(frame));
        }
        let Some(head) = self.head(input)? else { return Ok(None) };
        self.admit(&head)?;
        Ok(Some((head, 0)))
    }

    /// The next head, from the input alone when it is whole there.
    fn head(&mut self, input: &mut &[u8]) -> Result<Option<Head>, Violation> {
        let kept = self.partial.as_ref().is_some_and(|p| !p.head.is_empty());
        if !kept {
            match Head::parse_extended(input, self.role, self.deflate)? {
                HeadParse::Complete(head, size) => {
                    *input = &input[size..];
                    return Ok(Some(head));
                }
                HeadParse::Needs(_) if input.is_empty() => return Ok(None),
                HeadParse::Needs(_) => {}
            }
        }
        let partial = self.partial.get_or_insert_default();
        loop {
            match Head::parse_extended(&partial.head, self.role, self.deflate)? {
                HeadParse::Complete(head, _) => {
                    partial.head = Vec::new();
                    return Ok(Some(head));
                }
                HeadParse::Needs(size) => {
                    let (now, later) = input.split_at(input.len().min(size - partial.head.len()));
                    if now.is_empty() {
                        return Ok(None);
                    }
                    partial.head.extend_from_slice(now);
                    *input = later;
                }
            }
        }
    }

    /// Refuses a frame that does not fit what came before it, or makes the message too large.
    fn admit(&self, head: &Head) -> Result<(), Violation> {
        if head.opcode.is_control() {
            return Ok(());
        }
        let begun = self.partial.as_ref().and_then(|p| p.message.as_ref());
        let have = match (begun, head.opcode) {
            (None, Opcode::Continuation) => return Err(Violation::Protocol("continuation of nothing")),
            (Some(_), Opcode::Text | Opcode::Binary) => {
                return Err(Violation::Protocol("new message inside a fragmented one"));
            }
            (Some(message), _) => message.data.len() as u64,
            (None, _) => 0,
        };
        let limit = u64::from(self.limit);
        let compressed = begun.map_or(head.compressed, |message| message.compressed);
        // Bytes that do not shrink grow a little when they are compressed all the same.
        let limit = if compressed { limit + limit / 256 + 64 } else { limit };
        if have + head.length > limit { Err(Violation::TooLarge) } else { Ok(()) }
    }

    /// Reads what is there of a frame's payload.
    fn payload(&mut self, head: Head, read: u64, input: &mut &[u8]) -> Result<Option<Item>, Violation> {
        let missing = head.length - read;
        let (now, later) = input.split_at(missing.min(input.len() as u64) as usize);
        *input = later;
        let complete = now.len() as u64 == missing;
        if complete && head.fin && read == 0 && self.at_boundary(&head) {
            if let Some(partial) = &mut self.partial {
                partial.frame = None; // its head had come in an earlier piece
            }
            self.forget_when_idle();
            return whole(&head, now, self.limit).map(Some);
        }
        let limit = self.limit;
        let partial = self.partial.get_or_insert_default();
        partial.frame = if complete { None } else { Some((head, read + now.len() as u64)) };
        let item = if head.opcode.is_control() {
            append(&mut partial.control, now, &head, read);
            if complete { Some(control(head.opcode, std::mem::take(&mut partial.control))?) } else { None }
        } else {
            partial.data(&head, now, read, complete, limit)?
        };
        self.forget_when_idle();
        Ok(item)
    }

    /// Gives the memory back once nothing is incomplete.
    fn forget_when_idle(&mut self) {
        if self
            .partial
            .as_ref()
            .is_some_and(|p| p.frame.is_none() && p.message.is_none() && p.head.is_empty())
        {
            self.partial = None;
        }
    }

    /// Whether a whole frame is a whole item by itself.
    fn at_boundary(&self, head: &Head) -> bool {
        match &self.partial {
            None => true,
            Some(partial) => head.opcode.is_control() || partial.message.is_none(),
        }
    }
}

// === impl Partial ===

impl Partial {
    fn data(
        &mut self,
        head: &Head,
        now: &[u8],
        read: u64,
        complete: bool,
        limit: u32,
    ) -> Result<Option<Item>, Violation> {
        let message = self.message.get_or_insert_with(|| Message {
            text: head.opcode == Opcode::Text,
            compressed: head.compressed,
            data: Vec::new(),
            valid: 0,
        });
        append(&mut message.data, now, head, read);
        let last = complete && head.fin;
        if !message.compressed {
            message.check(last)?;
        }
        if !last {
            return Ok(None);
        }
        match self.message.take() {
            Some(message) => message.finish(limit).map(Some),
            None => Ok(None),
        }
    }
}

// === impl Message ===

impl Message {
    /// Fails as soon as a text cannot become UTF-8 any more. Looks at every byte once, save the up to three of
    /// a character that is not whole yet.
    fn check(&mut self, last: bool) -> Result<(), Violation> {
        if !self.text {
            return Ok(());
        }
        match std::str::from_utf8(&self.data[self.valid..]) {
            Ok(valid) => self.valid += valid.len(),
            Err(error) if error.error_len().is_some() || last => return Err(Violation::Utf8),
            Err(error) => self.valid += error.valid_up_to(),
        }
        Ok(())
    }

    fn finish(self, limit: u32) -> Result<Item, Violation> {
        if self.compressed {
            return self.inflate(limit)?.finish(limit);
        }
        if self.text {
            String::from_utf8(self.data).map(Item::Text).map_err(|_| Violation::Utf8)
        } else {
            Ok(Item::Binary(self.data.into()))
        }
    }

    /// The message in plain. Stops at the first byte beyond the limit, or that cannot be text any more.
    fn inflate(self, limit: u32) -> Result<Self, Violation> {
        let mut plain = Self { text: self.text, compressed: false, data: Vec::new(), valid: 0 };
        inflate(&self.data, limit as usize, |piece| {
            plain.data.extend_from_slice(piece);
            plain.check(false)
        })?;
        plain.check(true)?;
        plain.data.shrink_to_fit();
        Ok(plain)
    }
}

/// Copies a piece of payload and takes off its mask. Grows with what comes, not with what was declared.
fn append(out: &mut Vec<u8>, piece: &[u8], head: &Head, read: u64) {
    if head.fin && head.length - read == piece.len() as u64 {
        out.reserve_exact(piece.len());
    }
    let start = out.len();
    out.extend_from_slice(piece);
    if let Some(key) = head.mask {
        apply_mask(&mut out[start..], key, (read % 4) as usize);
    }
}

/// A message or control frame that is whole in the input: copied once, nothing kept.
fn whole(head: &Head, payload: &[u8], limit: u32) -> Result<Item, Violation> {
    let mut data = Vec::new();
    append(&mut data, payload, head, 0);
    if head.compressed {
        return Message { text: head.opcode == Opcode::Text, compressed: true, data, valid: 0 }.finish(limit);
    }
    match head.opcode {
        Opcode::Text => String::from_utf8(data).map(Item::Text).map_err(|_| Violation::Utf8),
        Opcode::Binary => Ok(Item::Binary(data.into())),
        Opcode::Continuation => Err(Violation::Protocol("continuation of nothing")),
        opcode => control(opcode, data),
    }
}

fn control(opcode: Opcode, payload: Vec<u8>) -> Result<Item, Violation> {
    match opcode {
        Opcode::Ping => Ok(Item::Ping(payload.into())),
        Opcode::Pong => Ok(Item::Pong(payload.into())),
        _ => Close::parse(&payload).map(Item::Close),
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
