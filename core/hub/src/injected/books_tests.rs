use super::*;

const NOW: Duration = Duration::from_secs(1000);

struct NoSlip;

impl Slip for NoSlip {
    fn settle(&self) {}
    fn hold(&self) {}
}

fn message(payload: &str, name: Option<&str>, reply: Option<&str>) -> BusMessage {
    BusMessage {
        topic: Topic::In { plugin: "p".into(), room: "r".into(), event: "e".into() },
        reply: reply.map(|reply| Topic::Reply(reply.to_owned())),
        headers: name.map(|name| ("Nats-Msg-Id".to_owned(), name.to_owned())).into_iter().collect(),
        payload: payload.to_owned().into(),
    }
}

fn delivery(number: u64, payload: &str, name: Option<&str>) -> Delivery {
    Delivery {
        message: message(payload, name, None),
        stream: "s".into(),
        number,
        identity: number.to_string().into(),
        taken_in: 0,
        slip: Arc::new(NoSlip),
    }
}

fn done(number: u64) -> Outcome {
    Outcome::Done { stream: "s".into(), number }
}

fn told(ended: Option<(Arc<dyn Slip>, Vec<Asker>)>) -> Vec<(String, bool)> {
    let address = |topic| match topic {
        Topic::Reply(address) => address,
        _ => panic!(),
    };
    ended.unwrap().1.into_iter().map(|asker| (address(asker.reply), asker.again)).collect()
}

#[test]
fn request_is_answered_whichever_comes_first() {
    for heard_first in [true, false] {
        let mut books = Books::default();
        let hear = |books: &mut Books| books.heard(&message("x", None, Some("a")), NOW);
        if heard_first {
            assert_eq!(hear(&mut books), None);
        }
        assert_eq!(books.given(&delivery(1, "x", None), false, NOW), Verdict::Handle);
        if !heard_first {
            assert_eq!(hear(&mut books), None);
        }
        assert_eq!(told(books.end(&"1".into(), &done(1), NOW)), [("a".to_owned(), false)]);
    }
}

#[test]
fn late_request_is_answered_at_once() {
    let mut books = Books::default();
    books.given(&delivery(1, "x", None), false, NOW);
    books.end(&"1".into(), &done(1), NOW);
    let (reply, answer) = books.heard(&message("x", None, Some("a")), NOW).unwrap();
    assert_eq!(reply, Topic::Reply("a".into()));
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer, json!({"ok": true, "stream": "s", "seq": 1}));
    assert_eq!(books.heard(&message("x", None, Some("b")), NOW), None, "that one is another event");
}

#[test]
fn equal_message_without_a_question_is_no_answer() {
    let mut books = Books::default();
    books.heard(&message("x", None, None), NOW);
    books.heard(&message("x", None, Some("a")), NOW);
    books.given(&delivery(1, "x", None), false, NOW);
    books.given(&delivery(2, "x", None), false, NOW);
    assert!(told(books.end(&"1".into(), &done(1), NOW)).is_empty());
    assert_eq!(told(books.end(&"2".into(), &done(2), NOW)).len(), 1);
}

#[test]
fn old_event_is_no_answer() {
    let mut books = Books::default();
    books.heard(&message("x", None, Some("a")), NOW);
    books.given(&delivery(1, "x", None), true, NOW);
    assert!(told(books.end(&"1".into(), &done(1), NOW)).is_empty());
    assert!(books.sweep(NOW + APART).is_empty());
    let lonely = books.sweep(NOW + APART + Duration::from_millis(1));
    assert_eq!(lonely, [Topic::Reply("a".into())]);
}

#[test]
fn same_name_has_the_same_end() {
    let mut books = Books::default();
    books.heard(&message("x", Some("id"), Some("a")), NOW);
    books.heard(&message("x", Some("id"), Some("b")), NOW); // before the first is given
    books.given(&delivery(1, "x", Some("id")), false, NOW);
    books.heard(&message("x", Some("id"), Some("c")), NOW); // in hand
    let told = told(books.end(&"1".into(), &done(1), NOW));
    assert_eq!(told, [("a".into(), false), ("b".into(), true), ("c".into(), true)]);
    let (_, answer) = books.heard(&message("other words", Some("id"), Some("d")), NOW).unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["duplicate"], true);
    assert!(books.sweep(NOW + REMEMBERED / 2).is_empty(), "nobody is left to be told");
    books.sweep(NOW + REMEMBERED);
    assert_eq!(books.heard(&message("x", Some("id"), Some("e")), NOW), None);
}

#[test]
fn refusal_is_remembered_too() {
    let mut books = Books::default();
    books.given(&delivery(1, "x", Some("id")), true, NOW);
    books.end(&"1".into(), &Outcome::Refused("no".into()), NOW);
    assert_eq!(books.heard(&message("x", Some("id"), Some("a")), NOW).unwrap().1, "no");
}

#[test]
fn event_kept_twice_is_handled_once() {
    let mut books = Books::default();
    books.given(&delivery(1, "x", Some("id")), false, NOW);
    assert_eq!(books.namesake("1"), None);
    assert_eq!(books.given(&delivery(2, "x", Some("id")), false, NOW), Verdict::Handle);
    assert_eq!(books.namesake("2"), None, "the first has not ended");
    books.end(&"1".into(), &done(1), NOW);
    assert_eq!(books.namesake("2"), Some(done(1)));
}

#[test]
fn given_again_is_known() {
    let mut books = Books::default();
    let event = delivery(1, "x", None);
    assert_eq!(books.given(&event, false, NOW), Verdict::Handle);
    assert_eq!(books.given(&event, false, NOW), Verdict::InHand);
    assert_eq!(books.in_hand().len(), 1);
    books.begin("1");
    books.leave_waiting();
    assert_eq!(books.given(&event, false, NOW), Verdict::InHand, "what has begun goes on");
    assert!(books.holds("1"));
    books.leave("1");
    assert!(books.in_hand().is_empty() && !books.holds("1"));
    assert_eq!(books.given(&event, false, NOW), Verdict::Handle, "it was given up");
    books.end(&"1".into(), &done(1), NOW);
    assert_eq!(books.given(&event, false, NOW), Verdict::Ended);
}

#[test]
fn giving_up_keeps_the_question() {
    let mut books = Books::default();
    books.heard(&message("x", None, Some("a")), NOW);
    books.given(&delivery(1, "x", None), false, NOW);
    books.leave_waiting();
    books.given(&delivery(1, "x", None), true, NOW);
    assert_eq!(told(books.end(&"1".into(), &done(1), NOW)).len(), 1);
}

#[test]
fn closing_tells_everybody() {
    let mut books = Books::default();
    books.heard(&message("x", None, Some("a")), NOW);
    books.given(&delivery(1, "x", None), false, NOW);
    books.heard(&message("y", None, Some("b")), NOW);
    books.heard(&message("z", None, None), NOW);
    assert_eq!(books.close().len(), 2);
    assert!(books.close().is_empty());
}
