//! The compressed form of a frame: made when the first link that takes it writes the frame, then shared by all.

use exedra_hub::{Frame, frame::FORMS, frame::Part};
use exedra_wire::websocket::{
    Opcode,
    deflate::{Window, compressed_frame},
};

/// A frame has room for the form of each window.
const _: () = assert!(Window::COUNT <= FORMS);

/// How a link wants its messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Squeeze {
    /// How far back compressed bytes may refer.
    pub(crate) window: Window,
    /// The smallest message that is compressed.
    pub(crate) from: u32,
}

impl Squeeze {
    /// For messages of at least `from` bytes.
    pub(crate) fn new(window: Window, from: usize) -> Self {
        Self { window, from: u32::try_from(from).unwrap_or(u32::MAX) }
    }

    /// Puts compressed forms in the place of frames that have one.
    pub(crate) fn apply(self, frames: &mut [Frame]) {
        for frame in frames {
            let form = frame.form(self.window as usize, |parts| self.compressed(parts)).cloned();
            if let Some(form) = form {
                *frame = form;
            }
        }
    }

    /// The same parts, the large ones compressed; `None` when that changes nothing.
    fn compressed(self, parts: &[Part]) -> Option<Frame> {
        let mut changed = false;
        let parts = parts
            .iter()
            .map(|part| match self.part(part) {
                Some(part) => {
                    changed = true;
                    part
                }
                None => part.clone(),
            })
            .collect();
        changed.then(|| Frame::many(parts))
    }

    fn part(self, part: &Part) -> Option<Part> {
        let payload = &part.wire[part.header as usize..];
        if payload.len() < self.from as usize || part.header == 0 {
            return None;
        }
        let opcode = if part.binary { Opcode::Binary } else { Opcode::Text };
        let wire = compressed_frame(opcode, payload, self.window)?;
        let header = match wire.get(1) {
            Some(127) => 10,
            Some(126) => 4,
            _ => 2,
        };
        Some(Part { wire: wire.into(), header, binary: part.binary })
    }
}

#[cfg(test)]
mod tests {
    use exedra_wire::websocket::{Decoder, Item, Role};

    use super::*;
    use crate::frames;

    const WIDE: Squeeze = Squeeze { window: Window::Wide, from: 1024 };

    fn squeezed(squeeze: Squeeze, frame: &Frame) -> Frame {
        let mut frames = [frame.clone()];
        squeeze.apply(&mut frames);
        let [frame] = frames;
        frame
    }

    fn read(frame: &Frame) -> Vec<Item> {
        let mut decoder = Decoder::new(Role::Client, 1 << 20).inflating(true);
        let mut items = Vec::new();
        for part in frame.parts() {
            let mut bytes = &part.wire[..];
            while let Some(item) = decoder.feed(&mut bytes).unwrap() {
                items.push(item);
            }
        }
        items
    }

    #[test]
    fn links_share_the_compressed_bytes() {
        let text = "the same for all ".repeat(1000);
        let frame = Frame::one(frames::text(&[text.as_bytes()]));
        let (first, second) = (squeezed(WIDE, &frame), squeezed(WIDE, &frame.clone()));
        assert!(first.size() < frame.size() / 10);
        assert_eq!(first.parts()[0].wire.as_ptr(), second.parts()[0].wire.as_ptr());
        let narrow = squeezed(Squeeze { window: Window::Narrow, ..WIDE }, &frame);
        assert_ne!(first.parts()[0].wire.as_ptr(), narrow.parts()[0].wire.as_ptr());
        for form in [&first, &narrow, &frame] {
            assert_eq!(read(form), [Item::Text(text.clone())]);
        }
        assert_eq!(first.parts()[0].wire.len() - first.parts()[0].payload().len(), 4);
    }

    #[test]
    fn small_messages_stay_as_they_are() {
        let at = |length: usize| Frame::one(frames::text(&[&vec![b'x'; length]]));
        assert_eq!(squeezed(WIDE, &at(1023)).size(), at(1023).size());
        assert!(squeezed(WIDE, &at(1024)).size() < 100);
    }

    #[test]
    fn attachments_are_compressed_alone() {
        let parts = vec![frames::text(&[b"451-[]"]), frames::binary(&[7; 5000]), frames::binary(b"small")];
        let frame = Frame::many(parts);
        let form = squeezed(WIDE, &frame);
        assert_eq!(form.parts()[0], frame.parts()[0]);
        assert!(form.parts()[1].wire.len() < 100);
        assert_eq!(form.parts()[2], frame.parts()[2]);
        assert_eq!(read(&form), read(&frame));
    }
}
