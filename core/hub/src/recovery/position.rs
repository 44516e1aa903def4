//! How far a client has come in a line, as its last offset says it.
//!
//! Events are numbered by the node that sends them, and a node hands them to its clients in the order in which it hears
//! them. So how far a client has come is one number per sender, and for its own node also a place in that node's order:
//!
//! ```text
//! 5f0c77a1.2e               a hub that runs alone: its word, and the number of the event
//! 5f0c77a1.2e~b1700d42.9    in a cluster: and of every other node the newest event that was heard before
//! ~5f0c77a1.2e~b1700d42.9   made up for a client that came from another node: no place in this node's order
//! ```
//! Every process has a word of its own, so that an argument of an application, or an offset of another hub, is never
//! taken for one.

use std::fmt::Write;

/// Senders that an offset may name; one with more is none of ours.
const MOST: usize = 64;

/// A process among the senders of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Word(pub(crate) u32);

/// The newest event of each sender.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Heard(Vec<(Word, u64)>);

/// An offset, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// The node whose order it is a place in, and the place.
    pub(crate) place: Option<(Word, u64)>,
    /// The newest event of each sender, that node among them.
    pub(crate) heard: Heard,
}

impl Heard {
    /// The newest event of a sender; 0 for none.
    pub(crate) fn of(&self, word: Word) -> u64 {
        self.0.iter().find(|(known, _)| *known == word).map_or(0, |(_, number)| *number)
    }

    /// Takes note of an event; an older one than the newest changes nothing.
    pub(crate) fn note(&mut self, word: Word, number: u64) {
        match self.0.iter_mut().find(|(known, _)| *known == word) {
            Some((_, newest)) => *newest = number.max(*newest),
            None => self.0.push((word, number)),
        }
    }

    /// Takes note of all that another has.
    pub(crate) fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(word, number)| self.note(*word, *number));
    }

    /// The senders.
    pub(crate) fn words(&self) -> Vec<Word> {
        self.0.iter().map(|(word, _)| *word).collect()
    }

    /// Forgets senders.
    pub(crate) fn retain(&mut self, keep: impl Fn(Word) -> bool) {
        self.0.retain(|(word, _)| keep(*word));
    }

    /// As the end of an offset.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (word, number) in &self.0 {
            let _ = write!(text, "~{:08x}.{number:x}", word.0); // a string takes everything
        }
        text
    }
}

impl Position {
    /// What a client shows; `None` when it is no offset.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if text.len() > MOST * 26 {
            return None;
        }
        let mut position = Self::default();
        let mut parts = text.split('~');
        match parts.next()? {
            "" => {}
            place => {
                let (word, number) = part(place)?;
                position.place = Some((word, number));
                position.heard.note(word, number);
            }
        }
        for part_text in parts {
            let (word, number) = part(part_text)?;
            if position.heard.of(word) != 0 {
                return None;
            }
            position.heard.note(word, number);
        }
        (!position.heard.0.is_empty()).then_some(position)
    }
}

fn part(text: &str) -> Option<(Word, u64)> {
    let (word, number) = text.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if word.len() != 8 || number.is_empty() || number.len() > 16 || !digits(word) || !digits(number) {
        return None;
    }
    let number = u64::from_str_radix(number, 16).ok().filter(|number| *number > 0)?;
    Some((Word(u32::from_str_radix(word, 16).ok()?), number))
}

/// An event of this node as its own clients see it.
pub(crate) fn text(word: Word, number: u64, others: &str) -> String {
    format!("{:08x}.{number:x}{others}", word.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_come_back_as_positions() {
        let mut others = Heard::default();
        others.note(Word(2), 9);
        others.note(Word(2), 4);
        others.note(Word(u32::MAX), u64::MAX);
        let position = Position::read(&text(Word(1), 46, &others.text())).unwrap();
        assert_eq!(position.place, Some((Word(1), 46)));
        assert_eq!((position.heard.of(Word(1)), position.heard.of(Word(2))), (46, 9));
        assert_eq!(position.heard.of(Word(u32::MAX)), u64::MAX);
        let made_up = Position::read(&others.text()).unwrap();
        assert_eq!((made_up.place, made_up.heard), (None, others));
    }

    #[test]
    fn strange_offsets_are_none() {
        let good = text(Word(1), 2, "");
        assert!(Position::read(&good).is_some());
        let (doubled, spaced, plus) = (format!("{good}~{good}"), format!("{good} "), good.replace('.', ".+"));
        let strange =
            ["", "~", "1", "hello", "é", &doubled, &spaced, &plus, "00000001.0", "00000001.", "1.1"];
        for text in strange {
            assert_eq!(Position::read(text), None, "{text}");
        }
        assert_eq!(Position::read(&format!("{good}~").repeat(200)), None);
        assert_eq!(Position::read(&good.to_uppercase().replace('1', "A")), None, "one form only");
    }
}
