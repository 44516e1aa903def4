//! The outbox beside a model: a plain list of what waits. Any pushes, takes and closes must look the same in both, and
//! what waits never exceeds the budget.

use proptest::prelude::*;

use super::*;
use crate::frame::Part;

#[derive(Debug, Clone)]
enum Change {
    Push { size: usize, class: Class },
    Take,
    Close(CloseReason),
}

const BUDGET: usize = 40;

fn change() -> impl Strategy<Value = Change> {
    let class = prop_oneof![
        3 => Just(Class::Reliable),
        3 => (0_u64..3).prop_map(Class::Latest),
        2 => Just(Class::Volatile),
    ];
    let reason = prop_oneof![
        Just(CloseReason::Kicked),
        Just(CloseReason::SlowConsumer),
        Just(CloseReason::TransportLost),
    ];
    prop_oneof![
        12 => (0_usize..25, class).prop_map(|(size, class)| Change::Push { size, class }),
        3 => Just(Change::Take),
        1 => reason.prop_map(Change::Close),
    ]
}

/// Frames are told apart by the number that they are made of.
#[derive(Debug, Default)]
struct Model {
    waiting: Vec<(Class, Vec<u8>)>,
    closed: Option<CloseReason>,
}

impl Model {
    fn bytes(&self) -> usize {
        self.waiting.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    fn push(&mut self, class: Class, bytes: Vec<u8>) -> Pushed {
        if self.closed.is_some() {
            return Pushed::Closed;
        }
        if class == Class::Volatile && !self.waiting.is_empty() {
            return Pushed::Dropped;
        }
        let older =
            self.waiting.iter().position(|(other, _)| matches!(class, Class::Latest(_)) && *other == class);
        let freed = older.map_or(0, |at| self.waiting[at].1.len());
        if self.bytes() - freed + bytes.len() > BUDGET {
            self.close(CloseReason::SlowConsumer);
            return Pushed::Overflow;
        }
        match older {
            Some(at) => {
                self.waiting[at].1 = bytes;
                Pushed::Replaced
            }
            None => {
                self.waiting.push((class, bytes));
                Pushed::Queued
            }
        }
    }

    fn close(&mut self, reason: CloseReason) {
        if self.closed.is_none() {
            self.closed = Some(reason);
            if reason != CloseReason::Kicked {
                self.waiting.clear();
            }
        }
    }
}

proptest! {
    #[test]
    fn outbox_equals_its_model(changes in proptest::collection::vec(change(), 1..60)) {
        let (outbox, mut model) = (Outbox::new(BUDGET), Model::default());
        for (number, change) in changes.iter().enumerate() {
            match *change {
                Change::Push { size, class } => {
                    let bytes = vec![number as u8; size];
                    let frame = Frame::one(Part { wire: bytes.clone().into(), header: 0, binary: false });
                    prop_assert_eq!(outbox.push(&frame, class), model.push(class, bytes));
                }
                Change::Take => {
                    let mut frames = Vec::new();
                    let reason = outbox.take_now(&mut frames);
                    let taken: Vec<_> = frames.iter().map(|frame| frame.parts()[0].wire.to_vec()).collect();
                    let waited: Vec<_> = model.waiting.drain(..).map(|(_, bytes)| bytes).collect();
                    prop_assert_eq!(reason, model.closed.filter(|_| waited.is_empty()));
                    prop_assert_eq!(taken, waited);
                }
                Change::Close(reason) => {
                    outbox.close(reason);
                    model.close(reason);
                }
            }
            prop_assert_eq!(outbox.bytes(), model.bytes());
            prop_assert_eq!(outbox.closed(), model.closed);
            prop_assert!(outbox.bytes() <= BUDGET, "more waits than may");
        }
    }
}
